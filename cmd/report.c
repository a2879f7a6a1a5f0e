/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea report`: what audit logs say. */
#include "cmd/report.h"

#include <string.h>

#include "cmd/cmd.h"

int cmd_report(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return cmd_usage("report", true);
    if (argc > 1 && strcmp(argv[1], "tls") == 0) {
        argv[1] = argv[0];
        return report_tls(argc - 1, argv + 1);
    }
    return argc > 1 ? cmd_misused("report", "%s: expected tls", argv[1])
                    : cmd_misused("report", "of what? Give tls");
}
