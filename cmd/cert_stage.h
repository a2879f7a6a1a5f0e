/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of `cardea cert` that change what is served, and the one that tells before. Each gets what
 * follows `cardea cert`, with argv[0] as for a verb, and returns the exit status. */
#ifndef CARDEA_CMD_CERT_STAGE_H
#define CARDEA_CMD_CERT_STAGE_H

int cert_stage(int argc, char **argv);
int cert_promote(int argc, char **argv);
int cert_rollback(int argc, char **argv);
int cert_disable(int argc, char **argv);

/* In cert_test.c. */
int cert_test(int argc, char **argv);

#endif
