/* SPDX-License-Identifier: Apache-2.0 */
#include "acme/issuer.h"

#include "ca/authority.h"

static int issue(void *arg, const struct acme_certify *what, struct buf *ret_chain_pem, struct err *err)
{
    struct ca_serial serial;
    const struct ca_request request = {.name = what->name,
                                       .sans = what->sans,
                                       .sans_len = what->sans_len,
                                       .groups = what->groups,
                                       .groups_len = what->groups_len,
                                       .must_staple = what->must_staple,
                                       .now = what->now,
                                       .not_before = what->not_before,
                                       .lifetime = what->lifetime};
    return authority_certify(arg, what->key, what->kind, &request, what->who, &serial, ret_chain_pem, err);
}

static int check(void *arg, const struct acme_certify *what, struct err *err)
{
    const struct ca_request request = {.name = what->name,
                                       .sans = what->sans,
                                       .sans_len = what->sans_len,
                                       .groups = what->groups,
                                       .groups_len = what->groups_len};
    return authority_check_names(arg, &request, err);
}

static int look(void *arg, const struct ca_serial *serial, int64_t *ret_revoked, int64_t *ret_replace,
                struct err *err)
{
    return authority_revoked_at(arg, serial, ret_revoked, err) < 0 ? -1
                                                                   : authority_replace(arg, ret_replace, err);
}

/* The reasons that the server lets through are among those of the authority, under the same numbers. */
static enum acme_revoked revoke(void *arg, const struct ca_serial *serial, int reason, const char *who,
                                int64_t now, struct err *err)
{
    switch (authority_revoke(arg, serial, (enum ca_reason)reason, who, now, err)) {
    case AUTHORITY_REVOKED:
        return ACME_REVOKED;
    case AUTHORITY_WAS_REVOKED:
        return ACME_WAS_REVOKED;
    case AUTHORITY_UNKNOWN:
        return ACME_NOT_OURS;
    default:
        return ACME_REVOKE_FAILED;
    }
}

struct acme_issuer acme_issuer_of(struct authority *a)
{
    return (struct acme_issuer){.arg = a, .check = check, .issue = issue, .look = look, .revoke = revoke};
}
