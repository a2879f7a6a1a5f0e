/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea cert ls`. */
#ifndef CARDEA_CMD_CERT_LS_H
#define CARDEA_CMD_CERT_LS_H

/* As a verb (cmd/cmd.h). */
int cert_ls(int argc, char **argv);

#endif
