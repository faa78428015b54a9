/* SPDX-License-Identifier: Apache-2.0
 * tests/time/when_main.c - `pawl when --batch` alone, for the tests of the time rules. */
#include "client/time/when_batch.h"

int main(void)
{
    return when_batch(stdin, stdout);
}
