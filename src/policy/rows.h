/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a policy, compiled. Private to policy/. */
#ifndef CARDEA_POLICY_ROWS_H
#define CARDEA_POLICY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "policy/target.h"

#define POLICY_MAGIC 0x90110c1eu

/* One key of a row's `who`. */
struct who {
    enum identity_kind kind;
    char **patterns;
    size_t count;
};

struct row {
    char *name;
    bool deny;
    bool proven;     /* only for who has an identity */
    struct who *who; /* none: anybody */
    size_t who_count;
    uint32_t *routes; /* none: any */
    size_t route_count;
    struct target *targets;
    size_t target_count;
};

struct policy {
    uint32_t magic;
    size_t row_count;
    struct row rows[];
};

#endif
