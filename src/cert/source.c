/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/source.h"

#include "base/check.h"
#include "base/clock.h"
#include "cert/cert.h"

void cert_source_init(struct cert_source *source, const struct cert_source_ops *ops)
{
    *source = (struct cert_source){.ops = ops, .refs = 1};
}

struct cert_source *cert_source_ref(struct cert_source *source)
{
    if (source != NULL)
        __atomic_add_fetch(&source->refs, 1, __ATOMIC_RELAXED);
    return source;
}

void cert_source_unref(struct cert_source *source)
{
    if (source != NULL && __atomic_sub_fetch(&source->refs, 1, __ATOMIC_ACQ_REL) == 0)
        source->ops->free(source);
}

void cert_source_ask(struct cert_source *source, struct cert_question *question)
{
    CHECK(question->home != NULL && question->answered != NULL);
    question->source = cert_source_ref(source);
    source->ops->ask(source, question);
}

static void come_home(struct message *m)
{
    struct cert_question *q = CONTAINER_OF(m, struct cert_question, message);
    cert_source_unref(q->source);
    q->answered(q);
}

void cert_question_answer(struct cert_question *question, const struct cert_answer *answer)
{
    CHECK(answer->count <= CERT_ANSWER_MAX && (answer->count > 0 || answer->why != NULL));
    question->answer = *answer;
    if (answer->count == 0)
        question->answer.good_for = MAX(answer->good_for, NSEC_PER_SEC);
    question->message.run = come_home;
    loop_post(question->home, &question->message);
}

void cert_answer_done(struct cert_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        cert_unref(answer->certs[i]);
    answer->count = 0;
}
