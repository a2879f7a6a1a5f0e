/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of certificates: which file is for which name. What it reads and when is shown end to end. */
#include "pki.h"

#include "keeper/folder.h"

static void test_file_names(void **state)
{
    (void)state;
    static const struct {
        const char *file, *name; /* NULL: none */
    } rows[] = {
        {"www.example.com.pem", "www.example.com"},
        {"www.example.com.key", "www.example.com"},
        {"www.example.com.rsa.pem", "www.example.com"},
        {"www.example.com.ecdsa.key", "www.example.com"},
        {"www.example.com.mldsa.pem", "www.example.com"},
        {"_.example.com.pem", "*.example.com"},
        {"*.example.com.rsa.pem", "*.example.com"},
        {"localhost.pem", "localhost"},
        {"_service.example.com.pem", "_service.example.com"},
        {"www.example.com.pem.tmp", NULL},
        {"www.example.com", NULL},
        {".pem", NULL},
        {".rsa.pem", NULL},
        {"..pem", NULL},
        {".www.example.com.pem", NULL},
        {"www..example.com.pem", NULL},
        {"_.pem", "_"}, /* a name of one label, as far as hosts go */
        {"*.pem", NULL},
        {"192.0.2.1.pem", NULL},
        {"a b.pem", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[HOSTNAME_MAX + 1] = "";
        bool is = folder_file_name(rows[i].file, name);
        if (is != (rows[i].name != NULL) || (is && strcmp(name, rows[i].name) != 0))
            fail_msg("%s: %s", rows[i].file, is ? name : "none");
    }
}

static void test_longest_names(void **state)
{
    (void)state;
    char file[300], name[HOSTNAME_MAX + 1];
    for (size_t len = 240; len < 280; len++) {
        memset(file, 'a', len);
        for (size_t i = 40; i + 1 < len; i += 40)
            file[i] = '.';
        snprintf(file + len, sizeof(file) - len, ".pem");
        assert_int_equal(folder_file_name(file, name), len <= HOSTNAME_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_names),
        cmocka_unit_test(test_longest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
