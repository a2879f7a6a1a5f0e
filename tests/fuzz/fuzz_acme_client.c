/* SPDX-License-Identifier: Apache-2.0 */
/* What a CA answers. The bytes are the contents of its answers, one after the other, each behind a line of
 * status and Location; the client has to come to an end, and take down what it has put up. */
#include <stdlib.h>
#include <string.h>

#include "acme/client.h"
#include "base/check.h"
#include "cert/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const char *p, *end;
};

/* Up to the mark, or all that is left. */
static struct str piece(struct input *in, const char *mark)
{
    size_t left = (size_t)(in->end - in->p), n = strlen(mark);
    const char *at = left > 0 ? memmem(in->p, left, mark, n) : NULL;
    struct str s = {in->p, at != NULL ? (size_t)(at - in->p) : left};
    in->p = at != NULL ? at + n : in->end;
    return s;
}

static void answer(struct acme_client *c, struct input *in, int64_t now)
{
    struct acme_client_answer a = {.nonce = {"n0nce", 5}};
    struct str head = piece(in, "\n");
    char status[8];
    a.body = piece(in, "\n\n");
    str_copy(status, sizeof(status), head.p, MIN(head.len, 3));
    a.status = (unsigned)strtoul(status, NULL, 10);
    a.location = head.len > 4 ? (struct str){head.p + 4, head.len - 4} : head;
    a.retry_after = a.location;
    acme_client_answer(c, now, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"www.example.com", "*.example.com", "192.0.2.7"};
    static struct evp_pkey_st *key;
    struct input in = {(const char *)data, (const char *)data + size};
    struct acme_client_next next;
    enum acme_client_need need;
    int64_t now = 1800000000, up = 0;
    if (key == NULL)
        key = key_make(KEY_P256);
    struct acme_client_settings s = {.directory = "https://ca.example.com/dir",
                                     .account_key = key,
                                     .key = key,
                                     .names = names,
                                     .names_len = 3,
                                     .proofs = {ACME_BY_TLS_ALPN, ACME_BY_DNS},
                                     .proofs_len = 2};
    struct acme_client *c = acme_client_new(&s, now, NULL);
    CHECK(c != NULL);
    while ((need = acme_client_next(c, now, &next)) != ACME_IS_DONE && need != ACME_HAS_FAILED) {
        if (need == ACME_NEEDS_TIME) {
            CHECK(next.at > now);
            now = next.at;
        } else if (need == ACME_NEEDS_PROOF) {
            up++;
            acme_client_presented(c, now, NULL);
        } else if (need == ACME_NEEDS_WITHDRAWAL) {
            up--;
            acme_client_withdrawn(c);
        } else if (in.p == in.end) {
            acme_client_abandon(c, &(struct err){"no more"});
        } else {
            answer(c, &in, now);
        }
    }
    CHECK(up == 0);
    acme_client_free(c);
    return 0;
}
