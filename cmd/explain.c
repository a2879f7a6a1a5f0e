/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea explain`: what the door would do with a connection, or what clients in captured traffic say. */
#include <getopt.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/explain_capture.h"
#include "cmd/explain_sni.h"

static bool has_option(int argc, char **argv, const char *name)
{
    size_t n = strlen(name);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strncmp(argv[i], name, n) == 0 && (argv[i][n] == '\0' || argv[i][n] == '='))
            return true;
    return false;
}

int cmd_explain(int argc, char **argv)
{
    if (has_option(argc, argv, "--help") || (argc == 2 && strcmp(argv[1], "-h") == 0))
        return cmd_usage("explain", true);
    if (has_option(argc, argv, "--sni"))
        return explain_sni(argc, argv);
    if (has_option(argc, argv, "-c") || has_option(argc, argv, "--config"))
        return cmd_misused("explain",
                           "which connection? --sni NAME is missing; 'none' is a client that sends none");
    return explain_capture(argc, argv);
}
