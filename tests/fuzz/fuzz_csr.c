/* SPDX-License-Identifier: Apache-2.0 */
/* ca/csr.h: any bytes as a certification request, in DER or PEM. What is taken has a key and names that can
 * be certified; the rest has a reason, and leaves nothing behind. */
#include <string.h>

#include "base/check.h"
#include "ca/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const char *text, char from)
{
    CHECK(*text != '\0');
    for (; *text != '\0'; text++)
        CHECK((*text & 0x80) != 0 || (*text >= from && *text != 0x7f));
}

static void check(int result, struct csr *csr, const struct err *err)
{
    if (result < 0) {
        CHECK(err->text[0] != '\0' && csr->key == NULL && csr->sans == NULL && csr->name == NULL);
        return;
    }
    CHECK(csr->key != NULL && csr->sans_len <= CSR_NAMES_MAX);
    if (csr->name != NULL)
        check_text(csr->name, ' ');
    for (size_t i = 0; i < csr->sans_len; i++)
        check_text(csr->sans[i], '!');
    csr_free(csr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct csr csr;
    struct err err = {""}, any = {""};
    check(csr_read((struct str){(const char *)data, len}, &csr, &err), &csr, &err);
    struct buf file = {0};
    if (buf_append(&file, data, len))
        check(csr_read_any(&file, &csr, &any), &csr, &any);
    buf_free(&file);
    return 0;
}
