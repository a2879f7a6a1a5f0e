/* SPDX-License-Identifier: Apache-2.0 */
/* keeper/permit.h: any bytes as the list of names that are permitted. Of one that is taken, what stands on a
 * line is permitted, whatever its case; a name that nobody could have written there is not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hostname.h"
#include "base/str.h"
#include "config/config.h"
#include "keeper/permit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct permit *read_from(const uint8_t *data, size_t len)
{
    char path[64];
    struct err err;
    int fd = memfd_create("names", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct config_acme c = {.names_file = {.text = path}};
    struct permit *p = permit_new(&c, &err);
    close(fd);
    return p;
}

static bool permits(struct permit *p, const char *name)
{
    const char *why;
    int64_t remembered;
    return permit_judge(p, name, NULL, 0, &why, &remembered) == PERMIT_YES;
}

/* The line's word, if it has one and nothing else. */
static void look_up(struct permit *p, const char *line, size_t len)
{
    char name[HOSTNAME_MAX + 1];
    if (len == 0 || strcspn(line, "*# \t\r\n") != len || !str_copy(name, sizeof(name), line, len))
        return;
    str_lower(name, len);
    CHECK(permits(p, name) == permit_could(p, name));
    CHECK(permit_could(p, name) || name[0] == '-' || name[len - 1] == '-' || strstr(name, "-.") != NULL ||
          strstr(name, ".-") != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct permit *p = read_from(data, len);
    if (p == NULL)
        return 0;
    char *text = strndup((const char *)data, len);
    CHECK(text != NULL);
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n"), at += *at != '\0')
        look_up(p, at, strcspn(at, "\n"));
    CHECK(!permits(p, "no name.example") && !permits(p, ""));
    free(text);
    permit_free(p);
    return 0;
}
