/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea explain FILE`: what the ClientHellos in a capture say, and whom a stricter floor would lose. */
#ifndef CARDEA_CMD_EXPLAIN_CAPTURE_H
#define CARDEA_CMD_EXPLAIN_CAPTURE_H

/* As a verb: argv[0] reads "cardea explain". Returns the exit status. */
int explain_capture(int argc, char **argv);

#endif
