/* SPDX-License-Identifier: Apache-2.0 */
/* Durable state: an SQLite database that is whole after any crash. What belongs together is written in one
 * transaction; what is committed is on the disk. A database may be open in several processes; one
 * `struct state` belongs to one thread. */
#ifndef CARDEA_STATE_STATE_H
#define CARDEA_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct state;

/* Open the database at `path`, or make it (mode 0600; its folder must be there). `steps` are SQL scripts: the
 * i-th brings a database of version i to version i + 1, all in one transaction; never change one that was
 * released. A database of a later version is refused. NULL with `err` naming the path. */
struct state *state_open(const char *path, const char *const *steps, size_t count, struct err *err);

/* NULL is allowed. What was begun and not committed is undone. */
void state_close(struct state *s);

/* Begin to write: what follows is done whole by state_commit(), or not at all. Waits a while (5 s) for other
 * writers. -1 with `err`. */
int state_begin(struct state *s, struct err *err);
int state_commit(struct state *s, struct err *err); /* -1: nothing was done */
void state_rollback(struct state *s);

/* The end of what was begun: committed where `status` is not negative, else undone. `status`, or -1 with
 * `err` where it could not be committed. */
int state_end(struct state *s, int status, struct err *err);

/* A statement being run. It is prepared once for each text (which must be static) and kept. */
struct state_query;

/* Begin the statement `sql`; bind its parameters in order, then step. NULL with `err`. A query that was begun
 * must be ended by state_done(), also after an error. The same `sql` must not be begun twice at once. */
struct state_query *state_query(struct state *s, const char *sql, struct err *err);
void state_put_text(struct state_query *q, struct str text); /* the bytes are copied */
void state_put_blob(struct state_query *q, const void *bytes, size_t len);
void state_put_int(struct state_query *q, int64_t value);
void state_put_null(struct state_query *q);

enum state_result { STATE_ROW, STATE_END, STATE_FAILED };

/* The next row. STATE_FAILED with `err`. */
enum state_result state_step(struct state_query *q, struct err *err);

/* Columns of the row, from 0 on; texts and bytes live until the next step. NULL is empty, or 0. */
struct str state_text(const struct state_query *q, int column);
struct str state_blob(const struct state_query *q, int column);
int64_t state_int(const struct state_query *q, int column);
bool state_is_null(const struct state_query *q, int column);

void state_done(struct state_query *q);

/* Step to the end and be done: for what gives no rows. -1 with `err`. */
int state_run(struct state_query *q, struct err *err);

/* Rows that the last statement has changed. */
int64_t state_changed(const struct state *s);

#endif
