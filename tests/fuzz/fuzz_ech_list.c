/* SPDX-License-Identifier: Apache-2.0 */
/* Files of ECHConfigs: what ech_list_read() takes is a list that the TLS library can be given, and is read
 * again as it is. */
#include <string.h>

#include "base/check.h"
#include "ech/config.h"
#include "ech/offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = {0}, list = {0}, again = {0};
    struct cursor contents;
    struct err err;
    CHECK(buf_append(&text, data, size));
    if (ech_list_read(&text, &list, &err) == 0) {
        CHECK(ech_config_list(list.data, list.len, &contents));
        CHECK(ech_list_read(&list, &again, &err) == 0 && again.len == list.len &&
              memcmp(again.data, list.data, list.len) == 0);
    } else {
        CHECK(list.data == NULL);
    }
    buf_free(&text);
    buf_free(&list);
    buf_free(&again);
    return 0;
}
