/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea login`: a certificate for a while, for who knows a password or whom an administrator knows. */
#include "cmd/login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/file.h"
#include "cert/fresh_key.h"
#include "cert/pem.h"
#include "cmd/cmd.h"
#include "cmd/secret.h"
#include "config/config.h"
#include "login/client.h"
#include "login/enrolments.h"
#include "login/form.h"
#include "login/login.h"
#include "login/upkeep.h"

#define PASSWORD_SHORTEST 8 /* of those that are set here */
#define POLL_MAX 60         /* seconds that a door may have us wait between two questions */

static const struct secret_kind password = {"password", "--password-file names a file with it"};
static const struct secret_kind registering = {"code", "give it on the command line, behind --register"};

_Static_assert(SECRET_MAX == OPAQUE_PASSWORD_MAX, "what can be typed can be proven");

/* A login under way. */
struct logging_in {
    const struct login_options *o;
    struct login_http http;
    struct evp_pkey_st *key;
    struct buf csr;
    struct secret code; /* for registering */
};

/* ---- preparing ---- */

/* The folder of a file of ours, 0700 where it is made here. */
static int make_folder(const char *file, struct err *err)
{
    struct buf path = {0};
    CHECK(buf_append(&path, file, strlen(file)));
    char *text = buf_text(&path);
    for (char *slash = strchr(text + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(text, 0700) != 0 && errno != EEXIST) {
            err_errno(err, errno, "%s cannot be made", text);
            buf_free(&path);
            return -1;
        }
        *slash = '/';
    }
    buf_free(&path);
    return 0;
}

/* Nothing is said to the door before its CA is known to be the one that was meant. */
static int meet(struct logging_in *l, struct err *err)
{
    struct buf answer = {0}, pem = {0};
    const char *path = l->o->ca_file;
    int status = login_http_get_unproven(&l->http, "/login/ca", &answer, err);
    if (status == 0)
        status = keep_check_fingerprint((struct str){(const char *)answer.data, answer.len},
                                        l->o->fingerprint, &pem, err);
    if (status == 0)
        status = file_write_atomic(path, 0644, pem.data, pem.len, err);
    buf_free(&answer);
    buf_free(&pem);
    l->http.ca = path;
    return status;
}

static int open_door(struct logging_in *l, struct err *err)
{
    const struct connect_settings *s = &l->o->settings;
    const char *ca = s->value[SETTING_CA];
    if (make_folder(l->o->file, err) < 0 ||
        login_http_open(&l->http, s->value[SETTING_DOOR], s->value[SETTING_NAME], err) < 0)
        return -1;
    const struct client_settings client = connect_settings_client(s);
    l->http.pq = client.pq;
    l->http.ech = client.ech;
    l->http.doh = client.doh;
    l->http.ca = ca == NULL || strcmp(ca, CONFIG_TRUST_SYSTEM) == 0 ? NULL : ca;
    return l->o->fingerprint != NULL ? meet(l, err) : 0;
}

static int make_key(struct logging_in *l, struct err *err)
{
    l->key =
        l->o->mode == LOGIN_RENEW ? keep_key_next(l->o->file, &l->csr, err) : fresh_key_make(&l->csr, err);
    return l->key != NULL ? 0 : -1;
}

static struct str csr_of(const struct logging_in *l)
{
    return (struct str){(const char *)l->csr.data, l->csr.len};
}

/* ---- what comes of it ---- */

/* It is renewed from other folders than this one. */
static int put_ca(const struct logging_in *l, char ret[KEEP_TEXT_MAX], struct err *err)
{
    struct buf path = {0};
    if (l->http.ca == NULL)
        CHECK(buf_printf(&path, "%s", CONFIG_TRUST_SYSTEM));
    else if (file_put_absolute(&path, l->http.ca) < 0)
        return err_errno(err, errno, "%s: where is this folder?", l->http.ca);
    bool fits = str_copy(ret, KEEP_TEXT_MAX, (const char *)path.data, path.len);
    buf_free(&path);
    return fits ? 0 : err_set(err, "%s: its path is longer than %d bytes", l->http.ca, KEEP_TEXT_MAX - 1);
}

/* What the door has seen since the last login. */
static void tell_alarm(const struct logging_in *l, const json_t *answer)
{
    char when[PEM_TIME_MAX], from[64] = "?";
    struct str source;
    int64_t at = json_integer_value(json_object_get(answer, "reused"));
    if (at == 0)
        return;
    if (form_text(answer, "reused_from", sizeof(from) - 1, &source))
        str_clean(from, sizeof(from), source.p);
    fprintf(
        stderr,
        "cardea: warning: at %s somebody at %s used a key of an earlier login of yours that a newer one had "
        "replaced. The door has ended that login. If it was not you, with a copy of %s (a backup, another "
        "machine), somebody has had that file: tell an administrator of the door\n",
        pem_time_text(at, when), from, l->o->file);
}

static int keep_answer(struct logging_in *l, const json_t *answer, struct keep *ret, struct err *err)
{
    struct str pem;
    const char *name = l->o->settings.value[SETTING_NAME];
    *ret = (struct keep){.since = clock_wall() / NSEC_PER_SEC,
                         .renewable_until = json_integer_value(json_object_get(answer, "renewable_until"))};
    snprintf(ret->door, sizeof(ret->door), "%s", l->http.place);
    snprintf(ret->name, sizeof(ret->name), "%s", name != NULL ? name : "");
    tell_alarm(l, answer);
    if (put_ca(l, ret->ca, err) < 0)
        return -1;
    if (!form_text(answer, "certificate", LOGIN_PEM_MAX, &pem))
        return err_set(err, "the answer of the door %s holds no certificate", l->http.place);
    int lock = l->o->lock < 0 ? keep_lock(l->o->file, err) : -1;
    int status = l->o->lock < 0 && lock < 0 ? -1 : keep_write(l->o->file, ret, pem, l->key, err);
    if (lock >= 0)
        close(lock);
    return status;
}

/* ---- by a password ---- */

static int get_password(const struct login_options *o, struct secret *p, struct err *err)
{
    struct buf what = {0};
    if (o->password_file != NULL)
        return secret_read(p, &password, o->password_file, err);
    if (o->mode == LOGIN_REGISTER)
        return secret_ask_new(p, &password, "New password, of 8 characters or more", err);
    CHECK(buf_printf(&what, "Password of %s at %s", o->user, o->door));
    int status = secret_ask(p, &password, buf_text(&what), err);
    buf_free(&what);
    return status;
}

/* The certificate of before is shown, where there is one that lives, so that its session ends: see
 * login/sessions.h. */
static void show_kept(struct logging_in *l)
{
    const struct keep *kept = &l->o->kept;
    bool ours = l->o->has_kept && kept->until > clock_wall() / NSEC_PER_SEC &&
                strcmp(kept->user, l->o->user) == 0 && strcmp(kept->door, l->http.place) == 0;
    l->http.cert = ours ? l->o->file : NULL;
}

/* Where the door does not take the certificate that is shown, or not any more, it is left out. */
static int post(struct logging_in *l, const char *path, json_t *m, json_t **ret, struct err *err)
{
    int status = login_http_post(&l->http, path, json_incref(m), ret, err);
    if (status < 0 && !l->http.answered && l->http.cert != NULL) {
        l->http.cert = NULL;
        status = login_http_post(&l->http, path, json_incref(m), ret, err);
    }
    json_decref(m);
    return status;
}

static int log_in(struct logging_in *l, const struct secret *p, struct keep *ret, struct err *err)
{
    struct login_client c;
    json_t *m, *answer = NULL, *last = NULL;
    int status = -1;
    if (!login_client_begin(&c, l->o->user, secret_text(p)))
        return err_set(err, "no randomness to be had from the system");
    show_kept(l);
    if (make_key(l, err) == 0 && (m = login_client_start(&c, err)) != NULL &&
        post(l, "/login/start", m, &answer, err) >= 0 &&
        (m = login_client_prove(&c, answer, csr_of(l), err)) != NULL &&
        post(l, "/login/finish", m, &last, err) >= 0 && login_client_check(&c, last, err) == 0)
        status = keep_answer(l, last, ret, err);
    json_decref(answer);
    json_decref(last);
    login_client_wipe(&c);
    return status;
}

/* To set a password is to log in with it at once. */
static int set_password(struct logging_in *l, const struct secret *p, struct err *err)
{
    struct login_client c;
    json_t *m, *answer = NULL, *last = NULL;
    int status = -1;
    if (p->len < PASSWORD_SHORTEST)
        return err_set(err, "a new password has at least %d characters: nothing has been set, try again",
                       PASSWORD_SHORTEST);
    if (!login_client_begin(&c, l->o->user, secret_text(p)))
        return err_set(err, "no randomness to be had from the system");
    if ((m = login_client_register(&c, l->code.text, err)) != NULL &&
        login_http_post(&l->http, "/login/register", m, &answer, err) >= 0 &&
        (m = login_client_record(&c, l->code.text, answer, err)) != NULL &&
        login_http_post(&l->http, "/login/register/finish", m, &last, err) >= 0)
        status = 0;
    json_decref(answer);
    json_decref(last);
    login_client_wipe(&c);
    return status;
}

static int get_code(struct logging_in *l, struct err *err)
{
    const char *code = l->o->code;
    if (strcmp(code, "-") == 0)
        return secret_ask(&l->code, &registering, "Code for registering", err);
    return str_copy(l->code.text, sizeof(l->code.text), code, strlen(code))
               ? 0
               : err_set(err, "the code is too long");
}

static int by_password(struct logging_in *l, struct keep *ret, struct err *err)
{
    struct secret p = {.len = 0};
    int status = l->o->mode == LOGIN_REGISTER ? get_code(l, err) : 0;
    if (status == 0)
        status = get_password(l->o, &p, err);
    if (status == 0 && l->o->mode == LOGIN_REGISTER)
        status = set_password(l, &p, err);
    if (status == 0)
        status = log_in(l, &p, ret, err);
    secret_wipe(&p);
    secret_wipe(&l->code);
    return status;
}

/* ---- by a code that an administrator approves ---- */

static void tell_code(const struct logging_in *l, const json_t *answer)
{
    struct buf key = {0};
    struct str code = {"?", 1};
    form_text(answer, "code", 64, &code);
    CHECK(keep_key_text(l->key, &key));
    fprintf(
        stderr,
        "Tell an administrator of the door this code:\n\n    %.*s\n\nand that the key is\n    %s\n\nwho says "
        "'cardea ca approve %.*s --user NAME'. Waiting ...\n",
        (int)code.len, code.p, buf_text(&key), (int)code.len, code.p);
    buf_free(&key);
}

/* Seconds until the next question. */
static void wait_a_while(const json_t *answer)
{
    json_int_t s = json_integer_value(json_object_get(answer, "poll"));
    struct timespec t = {.tv_sec = s < 1 ? 1 : s > POLL_MAX ? POLL_MAX : (time_t)s};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

/* The door ends it, by refusing a ticket that is too old. A network that fails for a while does not. */
static int wait_for_approval(struct logging_in *l, const json_t *asked, struct keep *ret, struct err *err)
{
    struct str ticket;
    if (!form_text(asked, "ticket", 128, &ticket))
        return err_set(err, "the answer of the door %s holds no ticket", l->http.place);
    int64_t deadline = clock_monotonic() + ENROLMENT_LIFE * NSEC_PER_SEC;
    for (;;) {
        json_t *m = json_object(), *answer = NULL;
        form_put_text(m, "ticket", ticket.p, ticket.len);
        wait_a_while(asked);
        int status = login_http_post(&l->http, "/login/enrol/poll", m, &answer, err);
        if (status == 200)
            status = keep_answer(l, answer, ret, err);
        json_decref(answer);
        bool lost = status < 0 && !l->http.answered && clock_monotonic() < deadline;
        if (status != 202 && !lost)
            return status;
    }
}

static int by_code(struct logging_in *l, struct keep *ret, struct err *err)
{
    char host[256] = "";
    json_t *asked = NULL;
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
        snprintf(host, sizeof(host), "unnamed");
    if (make_key(l, err) < 0 ||
        login_http_post(&l->http, "/login/enrol", login_client_ask(csr_of(l), host), &asked, err) < 0)
        return -1;
    tell_code(l, asked);
    int status = wait_for_approval(l, asked, ret, err);
    json_decref(asked);
    return status;
}

/* ---- by the certificate of before ---- */

/* There was no answer. Is it the certificate that the door does not take, or is there no door? */
static int explain_silence(struct logging_in *l, struct err *err)
{
    json_t *answer = NULL;
    struct err ignored;
    l->http.cert = NULL;
    login_http_post(&l->http, "/login/renew", login_client_ask(csr_of(l), NULL), &answer, &ignored);
    json_decref(answer);
    if (l->http.answered)
        err_set(
            err,
            "this login is over: the door %s does not take its certificate any more; it was revoked, or has "
            "run out. Run 'cardea login' again",
            l->http.place);
    return -1;
}

static int renew(struct logging_in *l, struct keep *ret, struct err *err)
{
    json_t *answer = NULL;
    l->http.cert = l->o->file;
    if (make_key(l, err) < 0)
        return -1;
    if (login_http_post(&l->http, "/login/renew", login_client_ask(csr_of(l), NULL), &answer, err) < 0)
        return l->http.answered ? -1 : explain_silence(l, err);
    int status = keep_answer(l, answer, ret, err);
    json_decref(answer);
    return status;
}

/* False: there is nothing to do yet, or another process has just done it. */
static bool is_due(const struct login_options *o)
{
    struct upkeep r = {.by_another = false};
    int64_t at;
    if (!o->if_due)
        return true;
    upkeep_begin(&r, &o->kept);
    return upkeep_next(&r, clock_wall() / NSEC_PER_SEC, &at) != UPKEEP_WAIT;
}

static int run(const struct login_options *o)
{
    if (!is_due(o))
        return CMD_OK;
    struct logging_in l = {.o = o};
    struct err err = {""};
    struct keep keep;
    int status = open_door(&l, &err);
    if (status == 0)
        status = o->mode == LOGIN_BY_CODE ? by_code(&l, &keep, &err)
                 : o->mode == LOGIN_RENEW ? renew(&l, &keep, &err)
                                          : by_password(&l, &keep, &err);
    fresh_key_free(l.key);
    buf_free(&l.csr);
    login_http_close(&l.http);
    if (status < 0)
        return cmd_failed("%s", err.text);
    if (o->mode == LOGIN_REGISTER && !o->json)
        fprintf(
            stderr,
            "The password is set, and you are logged in: 'cardea connect' and 'cardea expose' go by that.\n");
    return login_tell(o, &keep);
}

/* A crash leaves no password and no key on the disk. One byte: with 0 a program that the kernel hands cores
 * to gets them all the same (core(5)). */
static void leave_no_core(void)
{
    const struct rlimit none = {.rlim_cur = 1, .rlim_max = 1};
    setrlimit(RLIMIT_CORE, &none);
}

int cmd_login(int argc, char **argv)
{
    struct login_options o;
    leave_no_core();
    int status = login_options_read(&o, argc, argv);
    if (status < 0)
        status = o.mode == LOGIN_STATUS   ? login_show_status(&o)
                 : o.mode == LOGIN_LOGOUT ? login_log_out(&o)
                                          : run(&o);
    login_options_free(&o);
    return status;
}
