/* SPDX-License-Identifier: Apache-2.0 */
/* A lasting CA for tests, in a folder of the scratch folder, at a time that the test chooses. */
#ifndef CARDEA_TESTS_UNIT_AUTHORITY_H
#define CARDEA_TESTS_UNIT_AUTHORITY_H

#include "pki.h"

#include "ca/authority.h"

#define TEXT(s) ((struct str){s, strlen(s)})
#define ROOT_PASSPHRASE TEXT("far too long to guess")
#define DAY INT64_C(86400)

static inline void authority_make(const char *name, struct authority_plan plan, int64_t now)
{
    struct err err = {""};
    if (plan.name == NULL)
        plan.name = "Example";
    plan.root_passphrase = ROOT_PASSPHRASE;
    if (authority_init(pki_path(name), &plan, now, &err) < 0)
        fail_msg("%s", err.text);
}

static inline struct authority *authority_opened(const char *name, const char *passphrase)
{
    struct err err = {""};
    struct authority *a = authority_open(pki_path(name), &err);
    if (a == NULL || authority_unlock(a, &(struct key_secrets){.passphrase = TEXT(passphrase)}, &err) < 0)
        fail_msg("%s", err.text);
    return a;
}

/* Issue for one DNS name; written to NAME.pem and NAME.key where `save` names them. */
static inline struct ca_serial authority_server(struct authority *a, const char *dns, int64_t now,
                                                int64_t lifetime, const char *save)
{
    struct err err = {""};
    const struct ca_request request = {.sans = &dns, .sans_len = 1, .now = now, .lifetime = lifetime};
    struct ca *made = authority_issue(a, CA_PROFILE_SERVER, &request, "test", &err);
    if (made == NULL)
        fail_msg("%s", err.text);
    struct ca_serial serial = ca_serial(made);
    if (save != NULL)
        pki_save(made, save);
    ca_free(made);
    return serial;
}

static inline void expect_in(const char *text, const char *part)
{
    assert_non_null(text);
    if (strstr(text, part) == NULL)
        fail_msg("no '%s' in:\n%s", part, text);
}

#endif
