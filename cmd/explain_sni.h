/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea explain --sni NAME`: which listener, route, certificate, policy rule and backend a connection would
 * get by a configuration, without a door. */
#ifndef CARDEA_CMD_EXPLAIN_SNI_H
#define CARDEA_CMD_EXPLAIN_SNI_H

/* As a verb. Returns the exit status: CMD_OK where the connection would come through. */
int explain_sni(int argc, char **argv);

#endif
