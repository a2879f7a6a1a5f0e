/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `operations` share. */
#ifndef CARDEA_TESTS_KILL_OPERATIONS_H
#define CARDEA_TESTS_KILL_OPERATIONS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

#define BIG 10000 /* bytes: more than two pages of a database */

struct operation {
    const char *name;
    void (*make)(const char *dir);
    void (*run)(const char *dir);
    bool (*is_new)(const char *dir);
};

/* Ended by one without a name. */
extern const struct operation book_operations[], acme_operations[], login_operations[];

static struct err err;

/* What `done` says went wrong. */
static inline void must(bool done)
{
    if (done)
        return;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static inline const char *in(const char *dir, const char *name)
{
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static inline struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

/* For what begins with an empty folder. */
static inline void nothing(const char *dir)
{
    (void)dir;
}

#endif
