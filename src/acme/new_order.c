/* SPDX-License-Identifier: Apache-2.0 */
/* A new order (RFC 8555, 7.4): read, held against limits and rules, written down with what it needs. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "acme/server_internal.h"
#include "base/check.h"

#define SHARE 10 /* of what there is room for, for one source */

#define BACKDATE_MAX ACME_HOUR /* how far before now a notBefore may be, for clocks that are behind */

/* Reading
 * -----------------------------------------------------------------------------------------------------------
 */

static void note(json_t *subproblems, enum acme_problem p, const char *why, const char *type,
                 const char *value)
{
    char text[160];
    snprintf(text, sizeof(text), "expected %s", why);
    json_array_append_new(subproblems, acme_problem_json(p, text, type, value));
}

/* Read one into the next place, unless it is there already. What is wrong with it goes into `subproblems`. */
static bool read_name(struct acme_call *c, const json_t *given, struct acme_order *o, json_t *subproblems)
{
    struct acme_name *n = &o->names[o->names_len];
    const char *type = json_string_value(json_object_get(given, "type")), *why;
    const char *value = json_string_value(json_object_get(given, "value"));
    enum acme_problem p;
    if (type == NULL || value == NULL)
        return acme_problem(c, ACME_MALFORMED, "an identifier is an object with \"type\" and \"value\"");
    if (!acme_name_read(type, value, n, &p, &why)) {
        note(subproblems, p, why, type, value);
        return true;
    }
    for (size_t i = 0; i < o->names_len; i++)
        if (acme_name_equal(&o->names[i], n))
            return true;
    o->names_len++;
    return true;
}

static bool read_names(struct acme_call *c, struct acme_order *o)
{
    const json_t *list = json_object_get(c->payload, "identifiers");
    size_t count = json_array_size(list);
    if (count == 0 || count > c->s->limits.names)
        return acme_problem(c, ACME_MALFORMED, "\"identifiers\" is not a list of 1 to %u",
                            c->s->limits.names);
    o->names = calloc(count, sizeof(*o->names));
    CHECK(o->names != NULL);
    json_t *subproblems = json_array();
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++)
        ok = read_name(c, json_array_get(list, i), o, subproblems);
    if (!ok || json_array_size(subproblems) == 0) {
        json_decref(subproblems);
        return ok;
    }
    const char *type = json_string_value(json_object_get(json_array_get(subproblems, 0), "type"));
    bool unsupported = type != NULL && strstr(type, "unsupportedIdentifier") != NULL;
    return acme_problem_of(c, unsupported ? ACME_UNSUPPORTED_IDENTIFIER : ACME_MALFORMED, subproblems,
                           "identifiers that no certificate can be given for");
}

static bool read_profile(struct acme_call *c, struct acme_order *o)
{
    const json_t *given = json_object_get(c->payload, "profile");
    const char *name = json_string_value(given);
    o->profile = given == NULL  ? &c->s->params->profiles[0]
                 : name == NULL ? NULL
                                : acme_profile_named(c->s, name);
    if (o->profile == NULL)
        return acme_problem(c, ACME_INVALID_PROFILE, "\"profile\" is none of those that the directory lists");
    str_copy(o->profile_name, sizeof(o->profile_name), o->profile->name, strlen(o->profile->name));
    return true;
}

/* Two digits, up to `max`. */
static bool read_two(const char *text, int64_t max, int64_t *ret)
{
    if (strspn(text, "0123456789") < 2)
        return false;
    *ret = (text[0] - '0') * 10 + (text[1] - '0');
    return *ret <= max;
}

/* Read what stands behind the seconds: a fraction, and Z or an offset (RFC 3339, 5.6). */
static bool read_zone(const char *text, int64_t *ret_offset)
{
    int64_t hours, minutes;
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    *ret_offset = 0;
    if (strcmp(text, "Z") == 0)
        return true;
    if (strlen(text) != strlen("+00:00") || strchr("+-", text[0]) == NULL || text[3] != ':' ||
        !read_two(text + 1, 23, &hours) || !read_two(text + 4, 59, &minutes))
        return false;
    *ret_offset = (text[0] == '+' ? 1 : -1) * (hours * 60 + minutes) * 60;
    return true;
}

/* 0 where it is not given. */
static bool read_time(struct acme_call *c, const char *key, int64_t *ret)
{
    const json_t *given = json_object_get(c->payload, key);
    const char *text = json_string_value(given);
    struct tm tm = {0};
    int64_t offset;
    *ret = 0;
    if (given == NULL)
        return true;
    const char *rest = text == NULL ? NULL : strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL || !read_zone(rest, &offset) || tm.tm_year < 70 || tm.tm_year > 8099)
        return acme_problem(c, ACME_MALFORMED, "\"%s\" is not a time as RFC 3339 writes it", key);
    *ret = (int64_t)timegm(&tm) - offset;
    return true;
}

/* Less than the profile gives may be asked for, and not more. */
static bool read_times(struct acme_call *c, struct acme_order *o)
{
    if (!read_time(c, "notBefore", &o->not_before) || !read_time(c, "notAfter", &o->not_after))
        return false;
    CHECK(o->profile != NULL);
    int64_t longest = o->profile->lifetime, from = o->not_before != 0 ? o->not_before : c->now;
    /* Not long ahead: a name that is held today would be certified for when it is another's. */
    if (from < c->now - BACKDATE_MAX || from > c->now + MIN(longest, (int64_t)ACME_DAY))
        return acme_problem(c, ACME_MALFORMED, "\"notBefore\" is too far from now");
    if (o->not_after != 0 &&
        (o->not_after <= from || o->not_after <= c->now || o->not_after - from > longest))
        return acme_problem(c, ACME_MALFORMED,
                            "\"notAfter\" gives no lifetime that the profile allows; expected %lld s at most",
                            (long long)longest);
    return true;
}

static bool read_replaces(struct acme_call *c, struct acme_order *o)
{
    const json_t *given = json_object_get(c->payload, "replaces");
    const char *text = json_string_value(given);
    if (given == NULL)
        return true;
    if (text == NULL || !str_copy(o->replaces, sizeof(o->replaces), text, strlen(text)))
        return acme_problem(c, ACME_MALFORMED, "\"replaces\" is not the id of a certificate (RFC 9773, 4.1)");
    return acme_replaces_check(c, o->replaces, o->names, o->names_len);
}

/* Limits and rules
 * -------------------------------------------------------------------------------------------------- */

/* Orders that have brought nothing are held until they expire, whether they still can or not: so one that was
 * made to fail at once does not make room for the next. No source may have more than a share of the room,
 * however many accounts it makes: else it could keep all others, and their renewals, out. */
static int count_held(struct acme_call *c, int64_t *ret_all, int64_t *ret_source)
{
    if (acme_count(c->s, &c->err, ret_all, "SELECT COUNT(*) FROM orders WHERE status <> 3 AND expires > ?",
                   "i", c->now) < 0)
        return -1;
    return acme_count(
        c->s, &c->err, ret_source,
        "SELECT COUNT(*) FROM orders WHERE status <> 3 AND expires > ? AND account IN (SELECT id FROM "
        "accounts WHERE source = (SELECT source FROM accounts WHERE id = ?))",
        "is", c->now, c->account.id);
}

/* Certificates stay until they have ended, so there are bounds of how many there are. */
static bool check_certificates(struct acme_call *c)
{
    int64_t of_source;
    const struct acme_limits *l = &c->s->limits;
    uint32_t share = MAX(l->certificates / SHARE, l->orders_per_account);
    if (acme_count(c->s, &c->err, &of_source,
                   "SELECT COUNT(*) FROM certificates WHERE not_after > ? AND account IN (SELECT id FROM "
                   "accounts WHERE source = (SELECT source FROM accounts WHERE id = ?))",
                   "is", c->now, c->account.id) < 0)
        return acme_broken(c);
    if (of_source >= share)
        return acme_too_many(c, ACME_DAY, "too many certificates of accounts from one address; at most %u",
                             share);
    return c->s->certificates < l->certificates ||
           acme_too_many(c, ACME_DAY, "this server holds no more certificates");
}

static bool check_room(struct acme_call *c)
{
    int64_t recent, all, of_source;
    const struct acme_limits *l = &c->s->limits;
    uint32_t share = MAX(l->orders / SHARE, 2 * l->orders_per_account);
    if (acme_count(c->s, &c->err, &recent, "SELECT COUNT(*) FROM orders WHERE account = ? AND created > ?",
                   "si", c->account.id, c->now - ACME_HOUR) < 0 ||
        count_held(c, &all, &of_source) < 0)
        return acme_broken(c);
    if (recent >= l->orders_per_account)
        return acme_too_many(c, ACME_HOUR, "too many orders of this account; at most %u in an hour",
                             l->orders_per_account);
    if (of_source >= share)
        return acme_too_many(c, ACME_HOUR,
                             "too many orders of accounts from one address that are not finished; at most %u",
                             share);
    return all < l->orders || acme_too_many(c, ACME_HOUR, "this server holds no more orders for now");
}

static bool check_failures(struct acme_call *c, const struct acme_order *o)
{
    for (size_t i = 0; i < o->names_len; i++) {
        int64_t failed;
        if (acme_count(c->s, &c->err, &failed,
                       "SELECT COUNT(*) FROM failures WHERE account = ? AND name = ? AND at > ?", "ssi",
                       c->account.id, o->names[i].text, c->now - ACME_HOUR) < 0)
            return acme_broken(c);
        if (failed >= c->s->limits.failures)
            return acme_too_many(c, ACME_HOUR, "%s could not be validated %lld times within an hour",
                                 o->names[i].text, (long long)failed);
    }
    return true;
}

/* Why nothing permits it: the names that are not permitted by themselves. */
static bool refuse(struct acme_call *c, const struct acme_order *o)
{
    json_t *subproblems = json_array();
    for (size_t i = 0; i < o->names_len; i++) {
        char text[ACME_NAME_TEXT];
        if (acme_permit(c->s, &c->account, o->profile, &o->names[i], 1) == NULL)
            json_array_append_new(subproblems,
                                  acme_problem_json(ACME_REJECTED_IDENTIFIER, "this account may not have it",
                                                    acme_name_type(&o->names[i]),
                                                    acme_name_text(&o->names[i], text)));
    }
    return acme_problem_of(c, ACME_REJECTED_IDENTIFIER, subproblems,
                           "this server's rules do not let this account have these names under profile %s",
                           o->profile_name);
}

/* A name that no challenge can prove here can only be had by trust. */
static bool check_provable(struct acme_call *c, const struct acme_order *o)
{
    for (size_t i = 0; i < o->names_len; i++) {
        const struct acme_name *n = &o->names[i];
        char text[ACME_NAME_TEXT];
        bool can = false;
        for (size_t k = 0; k < ACME_CHALLENGES; k++)
            can = can || acme_can_prove(c->s, (enum acme_challenge)k, n);
        if (!can)
            return acme_problem(c, ACME_REJECTED_IDENTIFIER,
                                "%s: this server offers no challenge that could prove it",
                                acme_name_text(n, text));
    }
    return true;
}

/* Writing
 * -----------------------------------------------------------------------------------------------------------
 */

static bool insert(struct acme_call *c, struct acme_order *o)
{
    json_t *list = acme_names_json(o->names, o->names_len);
    char *names = acme_json_text(list);
    json_decref(list);
    CHECK(names != NULL);
    acme_new_id(o->id);
    int rc = acme_run(
        c->s, &c->err,
        "INSERT INTO orders (id, account, status, names, profile, not_before, not_after, replaces, "
        "created, expires) VALUES (?,?,?,?,?,?,?,?,?,?)",
        "ssissiisii", o->id, c->account.id, (int64_t)ACME_PENDING, names, o->profile_name, o->not_before,
        o->not_after, o->replaces[0] != '\0' ? o->replaces : NULL, c->now, o->expires);
    free(names);
    return (rc == 0 && acme_count(c->s, &c->err, &o->number, "SELECT number FROM orders WHERE id = ?", "s",
                                  o->id) == 0) ||
           acme_broken(c);
}

static bool write_order(struct acme_call *c, struct acme_order *o, bool trusted)
{
    bool ready = true;
    o->expires = c->now + c->s->limits.pending;
    if (!acme_begin(c) || !insert(c, o))
        return false;
    if (acme_run(c->s, &c->err, "UPDATE accounts SET ordered = ? WHERE id = ?", "is", c->now, c->account.id) <
        0)
        return acme_broken(c);
    for (size_t i = 0; i < o->names_len; i++) {
        char id[ACME_ID_MAX];
        bool valid;
        if (acme_authorization_make(c, &o->names[i], trusted, id, &valid) < 0 ||
            acme_run(c->s, &c->err, "INSERT INTO wants VALUES (?, ?)", "is", o->number, id) < 0)
            return acme_broken(c);
        ready = ready && valid;
    }
    o->status = ready ? ACME_READY : ACME_PENDING;
    if (ready && acme_run(c->s, &c->err, "UPDATE orders SET status = 1 WHERE number = ?", "i", o->number) < 0)
        return acme_broken(c);
    return acme_commit(c);
}

static bool read_order(struct acme_call *c, struct acme_order *o)
{
    return read_names(c, o) && read_profile(c, o) && read_times(c, o) && read_replaces(c, o);
}

void acme_answer_new_order(struct acme_call *c)
{
    struct acme_order o = {0};
    if (read_order(c, &o)) {
        const struct acme_rule *rule = acme_permit(c->s, &c->account, o.profile, o.names, o.names_len);
        bool ok = rule == NULL ? refuse(c, &o) : rule->trusted || check_provable(c, &o);
        ok = ok && acme_certifiable(c, &o, rule);
        if (ok && check_room(c) && check_certificates(c) && check_failures(c, &o) &&
            write_order(c, &o, rule != NULL && rule->trusted))
            acme_order_answer(c, 201, &o);
    }
    acme_order_free(&o);
}
