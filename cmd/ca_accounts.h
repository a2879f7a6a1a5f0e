/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea ca user`, `pending`, `approve` and `refuse`: who may log in at a door with `cardea login`. */
#ifndef CARDEA_CMD_CA_ACCOUNTS_H
#define CARDEA_CMD_CA_ACCOUNTS_H

/* Each gets what follows `cardea ca`, its own word first, and returns an exit status. */
int ca_user(int argc, char **argv);
int ca_pending(int argc, char **argv);
int ca_approve(int argc, char **argv);
int ca_refuse(int argc, char **argv);

#endif
