/* SPDX-License-Identifier: Apache-2.0 */
/* cert/name_constraints.h: constraints, a subject and a SAN, each after its length in two bytes. Whatever
 * they are, there is a verdict, the same the next time, within the comparisons that are allowed. */
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "cert/name_constraints.h"

#define COMPARISONS 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static CBS cbs_of(struct cursor c)
{
    CBS cbs;
    CBS_init(&cbs, c.p, cursor_left(&c));
    return cbs;
}

static enum constraint_verdict judge(CBS constraints, bool critical, const struct constrained_names *names,
                                     size_t *left)
{
    char name[CONSTRAINT_NAME_MAX];
    size_t before = *left;
    enum constraint_verdict verdict = name_constraints_meet(constraints, critical, names, left, name);
    CHECK(*left <= before && strlen(name) < sizeof(name));
    CHECK(verdict == CONSTRAINT_MET || name[0] != '\0' || CBS_len(&names->san) > 0);
    for (const char *p = name; *p != '\0'; p++)
        CHECK(*p >= ' ' && *p <= '~');
    CHECK(name_constraints_text(verdict) != NULL);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cursor c = cursor_of(data, len), constraints, subject, san;
    if (!cursor_vector(&c, 2, &constraints) || !cursor_vector(&c, 2, &subject) || !cursor_vector(&c, 2, &san))
        return 0;
    struct constrained_names names = {.subject = cbs_of(subject), .san = cbs_of(san)};
    if (!name_constraints_check(cbs_of(constraints)))
        return 0;
    size_t left = COMPARISONS, again = COMPARISONS, loose = COMPARISONS, none = 0;
    enum constraint_verdict verdict = judge(cbs_of(constraints), true, &names, &left);
    CHECK(judge(cbs_of(constraints), true, &names, &again) == verdict && again == left);
    /* Without the weight of the critical flag nothing more is refused. */
    if (verdict == CONSTRAINT_MET)
        CHECK(judge(cbs_of(constraints), false, &names, &loose) == CONSTRAINT_MET);
    /* Nothing is allowed that was not compared. */
    if (left < COMPARISONS)
        CHECK(judge(cbs_of(constraints), true, &names, &none) != CONSTRAINT_MET);
    return 0;
}
