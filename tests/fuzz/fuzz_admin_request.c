/* SPDX-License-Identifier: Apache-2.0 */
/* admin/request.h: what is taken is within bounds, and no prefix of it was taken for something else. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "admin/request.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The result depends on the bytes, not on their splitting. */
static void check_splits(const uint8_t *data, size_t len, enum request_status whole)
{
    enum request_status last = REQUEST_MORE;
    for (size_t n = 0; n < MIN(len, (size_t)600); n++) {
        struct request got;
        enum request_status s = request_read(data, n, &got, NULL);
        CHECK(last == REQUEST_MORE || s == last);
        CHECK(s == REQUEST_MORE || s == whole);
        last = s;
    }
}

static void check_text(const char *text, size_t cap, char first)
{
    size_t n = strnlen(text, cap);
    CHECK(n < cap && (first == '\0' || text[0] == first));
    for (size_t i = 0; i < n; i++)
        CHECK(text[i] > ' ' && text[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct request got;
    struct err err = {""};
    uint64_t number;
    enum request_status s = request_read(data, len, &got, &err);
    if (s == REQUEST_MORE) {
        CHECK(len < REQUEST_HEAD_MAX);
    } else if (s == REQUEST_BAD) {
        CHECK(err.text[0] != '\0' && (got.bad / 100 == 4 || got.bad / 100 == 5));
    } else {
        CHECK(got.method[0] != '\0');
        check_text(got.method, sizeof(got.method), '\0');
        check_text(got.path, sizeof(got.path), '/');
        check_text(got.query, sizeof(got.query), '\0');
        request_id(&got, &number, &err);
        if (request_number(&got, "limit", 1000, 7, &number, &err))
            CHECK(number >= 1 && number <= 1000);
        char value[64];
        bool given = request_value(&got, "file", value, sizeof(value));
        CHECK(strlen(value) < sizeof(value) && (given || value[0] == '\0'));
    }
    check_splits(data, len, s);
    return 0;
}
