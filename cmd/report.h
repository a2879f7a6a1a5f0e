/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of `cardea report`, each as a verb of its own: argv[0] is "cardea report". */
#ifndef CARDEA_CMD_REPORT_H
#define CARDEA_CMD_REPORT_H

/* `report tls`: who would be turned away by settings of TLS that are stricter. */
int report_tls(int argc, char **argv);

#endif
