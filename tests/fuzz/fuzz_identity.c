/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a leaf certificate: what comes out must be a well-formed identity, or nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cert/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
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
