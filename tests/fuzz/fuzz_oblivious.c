/* SPDX-License-Identifier: Apache-2.0 */
/* Oblivious DNS over HTTPS: files of keys, of which one that is chosen can be named in a question; answers of
 * anybody; and what a resolver has sealed. */
#include <string.h>

#include "base/check.h"
#include "dns/oblivious.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_for_key(struct str text)
{
    struct dns_oblivious_key key;
    struct dns_oblivious_opener opener;
    struct buf sealed = {0};
    struct err err = {""};
    if (dns_oblivious_choose(text, &key, &err) != 0) {
        CHECK(err.text[0] != '\0');
        return;
    }
    if (dns_oblivious_seal(&key, (struct str){"question", 8}, &sealed, &opener, &err) == 0)
        CHECK(sealed.data[0] == 1 && opener.question.len % 128 == 0);
    else
        CHECK(err.text[0] != '\0' && sealed.len == 0);
    dns_oblivious_forget(&opener);
    buf_free(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dns_oblivious_opener opener = {.aead = 1};
    struct str text = {(const char *)data, size}, message;
    struct buf opened = {0};
    struct err err = {""};
    look_for_key(text);
    CHECK(dns_oblivious_open(&opener, text, &opened, &err) != 0 && opened.len == 0 && err.text[0] != '\0');
    if (dns_oblivious_unpad(text, &message))
        CHECK(message.len > 0 && message.p >= text.p && message.p + message.len <= text.p + text.len);
    buf_free(&opened);
    return 0;
}
