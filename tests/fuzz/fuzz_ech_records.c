/* SPDX-License-Identifier: Apache-2.0 */
/* What a folder of ECH keys says of records: what was read is written as it is read again. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ech/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ech_records *r = calloc(2, sizeof(*r));
    struct buf text = {0}, again = {0};
    struct err err;
    CHECK(r != NULL);
    if (ech_records_read((struct str){(const char *)data, size}, &r[0], &err) == 0) {
        ech_records_write(&r[0], &text);
        CHECK(ech_records_read((struct str){(const char *)text.data, text.len}, &r[1], &err) == 0);
        ech_records_write(&r[1], &again);
        CHECK(text.len == again.len && memcmp(text.data, again.data, text.len) == 0);
        ech_records_forget(&r[0], 1000);
    } else {
        CHECK(r[0].names_len == 0 && r[0].keys_len == 0);
    }
    ech_records_free(&r[0]);
    ech_records_free(&r[1]);
    free(r);
    buf_free(&text);
    buf_free(&again);
    return 0;
}
