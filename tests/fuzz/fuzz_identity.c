/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a leaf certificate: what comes out must be a well-formed identity, or nothing; and what people
 * are told of it is text that is safe to print. */
#include <openssl/pool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cert/facts.h"
#include "cert/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const char *text)
{
    for (; *text != '\0'; text++)
        CHECK(*text >= 0x20 && *text <= 0x7e);
}

static void check_facts(const uint8_t *data, size_t len)
{
    struct cert_facts f;
    struct err err = {{0}};
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    sk_CRYPTO_BUFFER_push(chain, CRYPTO_BUFFER_new(data, len, NULL));
    int read = cert_facts_read(chain, &f, &err);
    CHECK(read == 0 || err.text[0] != '\0');
    if (read == 0) {
        const char *name = (const char *)f.names.data;
        for (size_t i = 0; i < f.names_len; i++, name += strlen(name) + 1)
            check_text(name);
        CHECK(f.names_len <= CERT_FACTS_NAMES_MAX && name == (const char *)f.names.data + f.names.len);
        check_text(f.subject);
        check_text(f.issuer);
        check_text(f.key);
        CHECK(f.signature != NULL);
    }
    cert_facts_free(&f);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    check_facts(data, len);
    struct err err = {{0}};
    struct identity *id = identity_from_der(data, len, &err);
    if (id == NULL) {
        CHECK(err.text[0] != '\0');
        return 0;
    }
    CHECK(id->count <= IDENTITY_FACTS_MAX);
    for (uint32_t i = 0; i < id->count; i++) {
        const char *value = id->facts[i].value;
        CHECK(identity_kind_name(id->facts[i].kind) != NULL);
        CHECK(value[0] != '\0');
        for (; *value != '\0'; value++)
            CHECK((unsigned char)*value >= 0x20 && *value != 0x7f);
    }
    CHECK(identity_label(id)[0] != '\0');
    /* The same facts must make the same identity. */
    struct identity *again = identity_make(id->facts, id->count);
    CHECK(again != NULL && again->count == id->count);
    identity_free(again);
    identity_free(id);
    return 0;
}
