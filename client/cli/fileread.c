/* SPDX-License-Identifier: Apache-2.0
 * client/cli/fileread.c - see fileread.h. */
#include "client/cli/fileread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/fail.h"
#include "client/cli/text.h"

int file_read(const char *path, buf_t *text)
{
    enum { CHUNK = 65536, MOST = 16 << 20 };
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    size_t got;
    errno = file ? 0 : errno;
    if (file) do {
            buf_need(text, CHUNK);
            got = fread(text->at + text->len, 1, CHUNK, file);
            text->len += got;
        } while (got && text->len <= MOST);
    bool failed = !file || ferror(file);
    int why = errno;
    if (file && !standard_input) fclose(file);
    if (failed)
        return fail(EXIT_FAILED, say("cannot read \"%s\"", path), strerror(why),
                    "a file that can be read, or - for standard input");
    if (text->len > MOST)
        return fail(EXIT_LIMIT, say("cannot read %s", path), "it is larger than 16 MiB",
                    "a smaller file");
    buf_add(text, "", 1);
    text->len--;
    return 0;
}
