/* SPDX-License-Identifier: Apache-2.0 */
#include "client/pawl.h"

#include "schemas/errors.h"

static err_t number_of(pawl_err err)
{
    return (err_t)(err < 0 ? -err : err);
}

const char *pawl_err_name(pawl_err err)
{
    return err_name(number_of(err));
}

const char *pawl_err_text(pawl_err err)
{
    return err_text(number_of(err));
}

bool pawl_err_retryable(pawl_err err)
{
    return err_retryable(number_of(err));
}

int pawl_err_exit_code(pawl_err err)
{
    return err_exit_code(number_of(err));
}

const char *pawl_version(void)
{
    return PAWL_VERSION;
}

int pawl_api_version(void)
{
    return PAWL_API_VERSION;
}
