/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of scripts and of chat scripts: what they take can be run, what they refuse has a place. The
 * first byte chooses the reader. What is run is played against the script's own text: likely to hold what it
 * wants. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "starttls/starttls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void run(const struct starttls *p, int section, const uint8_t *data, size_t len)
{
    struct buf say = {0};
    struct starttls_run *r = starttls_run_new(p);
    starttls_run_begin(r, section, &say);
    for (size_t used, at = 0; at < len; at += used) {
        enum starttls_status status = starttls_run_step(r, data + at, len - at, &used, &say);
        CHECK(used <= len - at && (status == STARTTLS_FAILED) == (starttls_run_failure(r) != 0));
        if (status != STARTTLS_MORE || used == 0)
            break;
    }
    starttls_run_welcome(r, &say);
    buf_free(&say);
    starttls_run_free(r);
}

/* s:LINE:COLUMN: TEXT, but for a script that is not read at all. */
static void check_place(const char *text)
{
    char *end;
    if (strstr(text, "expected at most") != NULL)
        return;
    CHECK(strncmp(text, "s:", 2) == 0 && strtoul(text + 2, &end, 10) > 0 && *end == ':');
    CHECK(strtoul(end + 1, &end, 10) > 0 && strncmp(end, ": ", 2) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {""};
    if (len == 0)
        return 0;
    const char *text = (const char *)data + 1;
    struct starttls *p = data[0] == 'c'   ? starttls_parse_chat("s", text, len - 1, false, &err)
                         : data[0] == 'a' ? starttls_parse_chat("s", text, len - 1, true, &err)
                                          : starttls_parse("s", text, len - 1, &err);
    if (p == NULL) {
        check_place(err.text);
        return 0;
    }
    run(p, 0, data + 1, len - 1);
    starttls_free(p);
    return 0;
}
