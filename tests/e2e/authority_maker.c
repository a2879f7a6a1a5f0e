/* SPDX-License-Identifier: Apache-2.0 */
/* `authority_maker DIR`: a CA as ca/authority.h makes one, its intermediate's key not encrypted. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ca/authority.h"

int main(int argc, char **argv)
{
    static const char passphrase[] = "of the tests";
    struct authority_plan plan = {.name = "Test", .root_passphrase = {passphrase, strlen(passphrase)}};
    struct err err;
    if (argc == 2 && authority_init(argv[1], &plan, clock_wall() / NSEC_PER_SEC, &err) == 0)
        return 0;
    fprintf(stderr, "%s\n", argc == 2 ? err.text : "one folder is to be given");
    return 1;
}
