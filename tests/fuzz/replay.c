/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libFuzzer in ordinary builds: runs the target over every file of the folders it is given. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    static uint8_t data[1 << 20];
    size_t len = fread(data, 1, sizeof(data), f);
    fclose(f);
    /* An exact copy, so that a sanitizer sees the first byte read past the end. */
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        copy[i] = data[i];
    }
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(dir));) {
            char path[4096];
            int n = snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
            if (e->d_name[0] == '.') {
                continue;
            }
            if (n < 0 || (size_t)n >= sizeof(path) || replay(path) < 0) {
                closedir(dir);
                return 1;
            }
            count++;
        }
        closedir(dir);
    }
    printf("%u seeds\n", count);
    return count == 0;
}
