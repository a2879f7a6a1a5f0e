/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ech_setting.h"

#include <string.h>

#include "base/check.h"
#include "base/file.h"

static const struct {
    const char *word;
    enum ech_wish wish;
    bool required;
} words[] = {{"grease", ECH_WISH_GREASE, false},
             {"off", ECH_WISH_OFF, false},
             {"auto", ECH_WISH_AUTO, false},
             {"require", ECH_WISH_AUTO, true}};

bool ech_setting_read(const char *text, struct ech_setting *ret)
{
    *ret = (struct ech_setting){.wish = ECH_WISH_GREASE};
    if (text == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(text, words[i].word) == 0) {
            ret->wish = words[i].wish;
            ret->required = words[i].required;
            return true;
        }
    size_t prefix = strlen(ECH_SETTING_REQUIRE);
    ret->required = strncmp(text, ECH_SETTING_REQUIRE, prefix) == 0;
    ret->wish = ECH_WISH_FILE;
    ret->path = ret->required ? text + prefix : text;
    return *ret->path != '\0';
}

int ech_setting_put_absolute(struct buf *out, const struct ech_setting *setting)
{
    struct buf path = {0};
    if (setting->wish != ECH_WISH_FILE) {
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (words[i].wish == setting->wish && words[i].required == setting->required)
                CHECK(buf_printf(out, "%s", words[i].word));
        return 0;
    }
    if (file_put_absolute(&path, setting->path) != 0)
        return -1;
    CHECK(buf_printf(out, "%s%s", setting->required ? ECH_SETTING_REQUIRE : "", buf_text(&path)));
    buf_free(&path);
    return 0;
}
