/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/check_options.h"

#include <getopt.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/str.h"
#include "base/unit.h"
#include "cmd/cmd.h"

#define TIMEOUT_NS (10 * NSEC_PER_SEC)
#define QUESTION_TIMEOUT_NS (3 * NSEC_PER_SEC)
#define HTTP3 "h3" /* what is offered over QUIC where nothing else is said */
#define SURVEY_TIMEOUT_NS (60 * NSEC_PER_SEC)

/* A name in the form in which names are compared; or an address, as it stands. */
static int take_name(struct check_options *o, const char *text)
{
    uint8_t ip[16];
    struct err err;
    if (hostname_address(text, ip) > 0)
        o->name = text;
    else if (str_host_name(text, strlen(text), o->name_space, &err) == 0)
        o->name = o->name_space;
    else
        return cmd_misused("check", "--name: %s", err.text);
    return -1;
}

static int take_time(const char *option, const char *text, int64_t *ret)
{
    if (unit_parse(text, unit_durations, ret) && *ret > 0)
        return -1;
    return cmd_misused("check", "--%s %s: expected a time such as 500ms, 10s or 1m", option, text);
}

static int take_alpn(const char *option, const char *text, const char **list, size_t *len)
{
    if (*len == CHECK_ALPN_MAX)
        return cmd_misused("check", "--%s is there more than %d times", option, CHECK_ALPN_MAX);
    list[(*len)++] = text;
    return -1;
}

static int take_grade(struct check_options *o, const char *text)
{
    o->fails_below = true;
    if (grade_parse(text, &o->below))
        return -1;
    return cmd_misused("check", "--fail-below %s: expected a grade: A+, A, B, C, D or F", text);
}

static int take_accepted(struct check_options *o, const char *text)
{
    const char *words[GRADE_RULES + 1];
    char hint[STR_HINT_MAX];
    for (size_t i = 0; i < GRADE_RULES; i++) {
        words[i] = grade_rule_words((enum grade_rule)i)->word;
        if (strcmp(words[i], text) == 0) {
            o->accepted[i] = true;
            return -1;
        }
    }
    words[GRADE_RULES] = NULL;
    return cmd_misused("check", "--accept %s: expected a finding, as --json calls it%s", text,
                       str_hint(text, words, hint));
}

static int take_expected(struct check_options *o, const char *text)
{
    struct err err;
    if (o->expect_len == CHECK_EXPECT_MAX)
        return cmd_misused("check", "--expect is there more than %d times", CHECK_EXPECT_MAX);
    if (check_expect_parse(text, &o->expect[o->expect_len++], &err) == 0)
        return -1;
    return cmd_misused("check", "--expect %s: %s", text, err.text);
}

/* One option with a meaning of its own. Returns -1, or an exit status. */
static int take(struct check_options *o, int option)
{
    switch (option) {
    case 'n':
        return take_name(o, optarg);
    case 'p':
        return take_alpn("alpn", optarg, o->alpn, &o->alpn_len);
    case 'P':
        o->quic = true;
        return take_alpn("quic-alpn", optarg, o->quic_alpn, &o->quic_alpn_len);
    case 't':
        return take_time("timeout", optarg, &o->timeout);
    case 'Q':
        return take_time("question-timeout", optarg, &o->question_timeout);
    case 'S':
        return take_time("survey-timeout", optarg, &o->survey_timeout);
    case 'f':
        return take_grade(o, optarg);
    case 'A':
        return take_accepted(o, optarg);
    case 'e':
        return take_expected(o, optarg);
    case 'q':
        o->quick = true;
        return -1;
    case 'U':
        o->quic = true;
        return -1;
    case 'j':
        o->json = true;
        return -1;
    default:
        return cmd_usage("check", option == 'h');
    }
}

/* One that is a text alone. */
static const char **text_of(struct check_options *o, int option)
{
    switch (option) {
    case 's':
        return &o->starttls;
    case 'C':
        return &o->chat;
    case 'a':
        return &o->ca;
    case 'c':
        return &o->cert;
    case 'k':
        return &o->key;
    case 'D':
        return &o->doh.url;
    case 'B':
        return &o->doh.ca;
    case 'N':
        return &o->dns;
    default:
        return NULL;
    }
}

/* Whom to ask for HTTPS records. */
static int judge_dns(const struct check_options *o)
{
    enum doh_part part;
    struct err err;
    if (o->doh.url == NULL && o->doh.ca != NULL)
        return cmd_misused("check", "--doh-ca says who may vouch for the resolver: give --doh URL, too");
    if (o->doh.url != NULL && doh_check(&o->doh, &part, &err) != 0)
        return cmd_misused("check", "--doh: %s", err.text);
    if (o->doh.url != NULL && o->dns != NULL)
        return cmd_misused("check", "--doh and --dns both say who is asked for HTTPS records: leave one out");
    if (o->quick && (o->doh.url != NULL || o->dns != NULL))
        return cmd_misused("check", "--quick does not ask for HTTPS records: leave out --%s",
                           o->doh.url != NULL ? "doh" : "dns");
    return -1;
}

static int judge(const struct check_options *o)
{
    if (o->starttls != NULL && o->chat != NULL)
        return cmd_misused("check", "--starttls and --chat both say how TLS is asked for: leave one out");
    if ((o->cert == NULL) != (o->key == NULL))
        return cmd_misused("check", "--cert and --key go together (one file may hold both)");
    if (o->quick && o->fails_below)
        return cmd_misused("check", "--quick gives no grade that --fail-below could be about: leave one out");
    return judge_dns(o);
}

int check_options_read(int argc, char **argv, struct check_options *ret)
{
    static const struct option options[] = {
        {"starttls", required_argument, NULL, 's'},
        {"chat", required_argument, NULL, 'C'},
        {"name", required_argument, NULL, 'n'},
        {"ca", required_argument, NULL, 'a'},
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"alpn", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"question-timeout", required_argument, NULL, 'Q'},
        {"survey-timeout", required_argument, NULL, 'S'},
        {"quic", no_argument, NULL, 'U'},
        {"quic-alpn", required_argument, NULL, 'P'},
        {"quick", no_argument, NULL, 'q'},
        {"fail-below", required_argument, NULL, 'f'},
        {"accept", required_argument, NULL, 'A'},
        {"doh", required_argument, NULL, 'D'},
        {"doh-ca", required_argument, NULL, 'B'},
        {"dns", required_argument, NULL, 'N'},
        {"expect", required_argument, NULL, 'e'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int status = -1;
    *ret = (struct check_options){
        .timeout = TIMEOUT_NS, .question_timeout = QUESTION_TIMEOUT_NS, .survey_timeout = SURVEY_TIMEOUT_NS};
    for (int option; status < 0 && (option = cmd_option(argc, argv, "h", options)) != -1;) {
        const char **text = text_of(ret, option);
        if (text != NULL)
            *text = optarg;
        else
            status = take(ret, option);
    }
    if (status >= 0)
        return status;
    if (optind == argc)
        return cmd_misused("check",
                           "which server? HOST or HOST:PORT is missing, such as mail.example.com:25");
    if (ret->quic_alpn_len == 0)
        ret->quic_alpn[ret->quic_alpn_len++] = HTTP3;
    return judge(ret);
}
