/* SPDX-License-Identifier: Apache-2.0 */
/* What an authority revokes at once, by what certificates say. */
#include "authority.h"

static const int64_t now = 1800000000;

static void issue_to(struct authority *a, const char *name, const char *uri)
{
    struct err err = {""};
    const struct ca_request request = {
        .name = name, .sans = &uri, .sans_len = 1, .now = now, .lifetime = 3600};
    struct ca *made = authority_issue(a, CA_PROFILE_CLIENT, &request, "test", &err);
    if (made == NULL)
        fail_msg("%s", err.text);
    ca_free(made);
}

static int revoke_logins(struct authority *a, const char *label, int64_t at)
{
    struct err err = {""};
    return authority_revoke_label(a, label, "cardea://login/", CA_REASON_UNSPECIFIED, "test", at, &err);
}

/* All that somebody has of a kind, and nothing else. */
static void test_label(void **unused)
{
    (void)unused;
    struct err err = {""};
    authority_make("label", (struct authority_plan){0}, now);
    struct authority *a = authority_opened("label", "");
    const char *const issued[][2] = {{"carl", "cardea://login/01"},
                                     {"carl", "cardea://login/02"},
                                     {"carl", "cardea://log"},
                                     {"carl", "https://example.com/cardea://login/03"},
                                     {"carla", "cardea://login/04"}};
    for (size_t i = 0; i < ARRAY_LEN(issued); i++)
        issue_to(a, issued[i][0], issued[i][1]);
    assert_int_equal(revoke_logins(a, "car", now), 0);
    assert_int_equal(revoke_logins(a, "carl", now + 3601), 0);
    assert_int_equal(revoke_logins(a, "carl", now), 2);
    assert_int_equal(revoke_logins(a, "carl", now), 0);
    assert_int_equal(authority_revoked_name(a, "cardea://login/02", now, &err), 1);
    assert_int_equal(authority_revoked_name(a, "cardea://login/04", now, &err), 0);
    authority_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_label)};
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
