/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of exec: backends. One serves one session; it may outlive it while it is being ended, and belongs
 * to the worker then. */
#ifndef CARDEA_SESSION_PROGRAMS_H
#define CARDEA_SESSION_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>

struct config_address;
struct session;
struct worker;

/* Start the program of `a` for the session, whose dial then has the link to it, or how it failed. */
void programs_start(struct session *s, const struct config_address *a);

/* The session's program has ended its side, but how it exited is not known yet: worth a short wait. False
 * also where there is none. */
bool programs_awaited(const struct session *s);

/* It has a program, which is not known to have exited. */
bool programs_runs(const struct session *s);

/* Where the session's program did not exit well, say so in the audit line. */
void programs_tell(struct session *s);

/* The session, or its attempt with this backend, is over. A program that has ended its side itself may
 * finish, others are told to end. */
void programs_leave(struct session *s);

#endif
