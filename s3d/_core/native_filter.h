/* Evaluates a compiled filter: which clause decides about an object, and what has to be known for that.
 *
 * Pure functions over borrowed memory, without allocation and without the GIL. A program is checked once, when it is
 * made (filter.pyx): every index lies in its table, children come after their parents, labels are not empty and at most
 * S3D_MAX_PREFIX bytes lie on the way from the root to any node. What follows relies on that.
 *
 * Clauses are found by a radix tree over `bucket/prefix`. Each node has the clauses whose prefix ends there, the last
 * clause first; those of all nodes on an object's way are taken in the order of a heap over their heads, so that they
 * come from the last clause of the whole list backwards.
 */
#ifndef S3D_NATIVE_FILTER_H
#define S3D_NATIVE_FILTER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "native_amount.h"
#include "native_glob.h"
#include "native_head.h"

#define S3D_MAX_PREFIX 256

enum { S3D_BUCKET_TAGS, S3D_OBJECT_TAGS, S3D_METADATA, S3D_GROUPS, S3D_ALWAYS_KNOWN = S3D_GROUPS };
enum { S3D_KNOWN, S3D_NOT_LOADED, S3D_UNKNOWABLE };
enum {
    S3D_BUCKET_TAG, S3D_OBJECT_TAG, S3D_HEADER, S3D_CONTENT_LENGTH_HEADER, S3D_LAST_MODIFIED_HEADER, S3D_OBJECT_SIZE,
    S3D_AGE, S3D_OPERATION, S3D_USER, S3D_ATTRIBUTES
};
enum { S3D_PRESENT, S3D_EQUAL, S3D_NOT_EQUAL, S3D_LESS, S3D_AT_MOST, S3D_MORE, S3D_AT_LEAST, S3D_OPERATORS };
enum { S3D_FALSE, S3D_TRUE, S3D_UNKNOWN };
enum { S3D_QUEUE, S3D_CACHE, S3D_SYNC, S3D_PURPOSES };

/* What a decision is made of; the needs are bits of the groups above. */
enum {
    S3D_INCLUDED = 1,
    S3D_PINNED = 2,
    S3D_IMMUTABLE = 4,
    S3D_BY_TAG = 8,       /* a reserved tag decided, no clause */
    S3D_BY_SETTING = 16,  /* the remote does not tell what it depends on */
    S3D_NEEDS_SHIFT = 5,  /* undecided: load these groups and ask again */
    S3D_CLAUSE_SHIFT = 8, /* the clause that decided, counted from 1; 0: none matched, or none had to */
};

typedef struct {
    uint32_t first_op, op_count;   /* its glob, when kind is S3D_NO_AMOUNT */
    uint32_t name, name_size;      /* of a tag or header, in the program's bytes; headers in lower case */
    uint8_t attribute, operator_, kind;
    s3d_amount amount;             /* what it is compared with, unless kind is S3D_NO_AMOUNT */
} s3d_condition;

typedef struct {
    uint32_t bucket_op, bucket_op_count; /* what follows the prefix, or nothing when the bucket's name is in it */
    uint32_t key_op, key_op_count;       /* what follows the prefix, or the whole key's when bucket_size is -1 */
    uint32_t condition, condition_count;
    uint32_t prefix_size;                /* of `bucket/prefix` in the tree */
    int32_t bucket_size;                 /* of the bucket's name, -1 when that is a glob */
    uint8_t excludes;
} s3d_clause;

typedef struct {
    uint32_t label, label_size;          /* in the program's bytes */
    uint32_t child, child_count;         /* in the nodes, by the first byte of their labels */
    uint32_t entry, entry_count;         /* in the entries: clauses, descending */
} s3d_node;

typedef struct {
    const uint8_t *bytes;
    const s3d_glob_op *ops;
    const s3d_condition *conditions;
    const s3d_clause *clauses;
    const s3d_node *nodes;               /* the first is the root */
    const uint8_t *first_bytes;          /* of each node's label */
    const uint32_t *entries;
    uint32_t clause_count;
    uint8_t included_by_default, included_if_unknowable, purpose;
} s3d_program;

typedef struct {
    const uint8_t *path;                 /* `bucket/key` */
    size_t path_size, bucket_size;
    const s3d_field *bucket_tags, *object_tags, *headers;
    size_t bucket_tag_count, object_tag_count, header_count;
    uint8_t states[S3D_GROUPS];
    int64_t size_bytes;                  /* -1: nobody knows */
    int64_t modified_ms, now_ms;         /* since 1970 */
    const uint8_t *operation, *user;     /* NULL: there is none */
    size_t operation_size, user_size;
} s3d_subject;

static const uint8_t s3d_group_of[S3D_ATTRIBUTES] = {
    S3D_BUCKET_TAGS, S3D_OBJECT_TAGS, S3D_METADATA, S3D_METADATA, S3D_METADATA, S3D_METADATA, S3D_METADATA,
    S3D_ALWAYS_KNOWN, S3D_ALWAYS_KNOWN,
};

static inline const s3d_field *s3d_find_tag(const s3d_field *tags, size_t count, const uint8_t *name, uint32_t size)
{
    for (size_t i = 0; i < count; i++)
        if (tags[i].name_size == size && memcmp(tags[i].name, name, size) == 0)
            return &tags[i];
    return NULL;
}

static inline const s3d_field *s3d_find_header(const s3d_field *headers, size_t count, const uint8_t *name,
                                               uint32_t size)
{
    for (size_t i = 0; i < count; i++)
        if (headers[i].name_size == size && s3d_field_is(&headers[i], (const char *)name, size))
            return &headers[i];
    return NULL;
}

/* The value of a text attribute, or NULL when it is absent. `scratch` takes 32 bytes of what has to be written first. */
static inline const uint8_t *s3d_text_of(const s3d_program *program, const s3d_condition *condition,
                                         const s3d_subject *subject, uint8_t *scratch, size_t *size)
{
    const uint8_t *name = program->bytes + condition->name;
    const s3d_field *found = NULL;
    switch (condition->attribute) {
    case S3D_BUCKET_TAG:
        found = s3d_find_tag(subject->bucket_tags, subject->bucket_tag_count, name, condition->name_size);
        break;
    case S3D_OBJECT_TAG:
        found = s3d_find_tag(subject->object_tags, subject->object_tag_count, name, condition->name_size);
        break;
    case S3D_LAST_MODIFIED_HEADER:
        *size = subject->modified_ms < 0 ? 0 : s3d_write_imf(subject->modified_ms / 1000, scratch);
        return *size ? scratch : NULL;
    case S3D_CONTENT_LENGTH_HEADER:
        if (subject->size_bytes >= 0) {
            *size = s3d_write_number(subject->size_bytes, scratch);
            return scratch;
        }
        /* fall through */
    case S3D_HEADER:
        found = s3d_find_header(subject->headers, subject->header_count, name, condition->name_size);
        break;
    case S3D_OPERATION:
        *size = subject->operation_size;
        return subject->operation;
    case S3D_USER:
        *size = subject->user_size;
        return subject->user;
    default:
        break;
    }
    if (found == NULL)
        return NULL;
    *size = found->value_size;
    return found->value;
}

/* Size and age as amounts; returns 0 when absent. */
static inline int s3d_amount_of(uint8_t attribute, const s3d_subject *subject, s3d_amount *amount)
{
    int64_t age_ms;
    if (attribute == S3D_OBJECT_SIZE) {
        *amount = (s3d_amount)subject->size_bytes * S3D_NANO;
        return subject->size_bytes >= 0;
    }
    /* A clock that went back makes nothing younger than new. */
    age_ms = subject->now_ms > subject->modified_ms ? subject->now_ms - subject->modified_ms : 0;
    *amount = (s3d_amount)age_ms * (S3D_NANO / 1000);
    return 1;
}

/* S3D_TRUE, S3D_FALSE, or S3D_UNKNOWN when the attribute's group is not known. */
static inline int s3d_condition_holds(const s3d_program *program, const s3d_condition *condition,
                                      const s3d_subject *subject)
{
    uint8_t group = s3d_group_of[condition->attribute];
    uint8_t scratch[32];
    const uint8_t *text = NULL;
    size_t size = 0;
    s3d_amount amount = 0;
    int present, comparable = 0;
    if (group != S3D_ALWAYS_KNOWN && subject->states[group] != S3D_KNOWN)
        return S3D_UNKNOWN;
    if (condition->attribute == S3D_OBJECT_SIZE || condition->attribute == S3D_AGE) {
        present = comparable = s3d_amount_of(condition->attribute, subject, &amount);
    } else {
        text = s3d_text_of(program, condition, subject, scratch, &size);
        present = text != NULL;
        if (present && condition->kind != S3D_NO_AMOUNT)
            comparable = s3d_comparable(s3d_read_amount(text, size, &amount), condition->kind);
    }
    if (condition->operator_ == S3D_PRESENT)
        return present;
    if (condition->kind == S3D_NO_AMOUNT) {
        int equal = present && s3d_glob_match(program->bytes, program->ops + condition->first_op, condition->op_count,
                                              text, text + size);
        return equal == (condition->operator_ == S3D_EQUAL);
    }
    switch (condition->operator_) {
    case S3D_EQUAL:
        return comparable && amount == condition->amount;
    case S3D_NOT_EQUAL:
        return !(comparable && amount == condition->amount);
    case S3D_LESS:
        return comparable && amount < condition->amount;
    case S3D_AT_MOST:
        return comparable && amount <= condition->amount;
    case S3D_MORE:
        return comparable && amount > condition->amount;
    default:
        return comparable && amount >= condition->amount;
    }
}

/* Whether what follows the clause's prefix, which the path begins with, matches too. */
static inline int s3d_path_matches(const s3d_program *program, const s3d_clause *clause, const s3d_subject *subject)
{
    const uint8_t *end = subject->path + subject->path_size;
    const uint8_t *key = subject->path + subject->bucket_size + 1;
    if (clause->bucket_size >= 0) {
        /* The same bytes, divided elsewhere, are another object: only hostile names of buckets have a slash. */
        if (subject->bucket_size != (size_t)clause->bucket_size)
            return 0;
        key = subject->path + clause->prefix_size;
    } else {
        if (clause->prefix_size > subject->bucket_size)
            return 0;
        if (!s3d_glob_match(program->bytes, program->ops + clause->bucket_op, clause->bucket_op_count,
                            subject->path + clause->prefix_size, key - 1))
            return 0;
    }
    return s3d_glob_match(program->bytes, program->ops + clause->key_op, clause->key_op_count, key, end);
}

/* The conditions' AND; `needs` gets the groups that an S3D_UNKNOWN depends on. `first` is where to begin. */
static inline int s3d_conditions_hold(const s3d_program *program, const s3d_clause *clause, const s3d_subject *subject,
                                      uint32_t *needs)
{
    const s3d_condition *condition = program->conditions + clause->condition;
    const s3d_condition *end = condition + clause->condition_count;
    int all = S3D_TRUE;
    *needs = 0;
    for (; condition < end; condition++) {
        int holds = s3d_condition_holds(program, condition, subject);
        if (holds == S3D_FALSE)
            return S3D_FALSE;
        if (holds == S3D_UNKNOWN) {
            all = S3D_UNKNOWN;
            *needs |= 1u << s3d_group_of[condition->attribute];
        }
    }
    return all;
}

/* Which verdicts are still possible while clauses are seen from the last backwards.
 *
 * An unknown clause matters only if what comes before it says otherwise: `tail_needs` are those of the unknown clauses
 * since the verdict last changed, and join `needs` when it changes again. */
typedef struct {
    uint32_t needs, tail_needs;
    int tail; /* the verdict of those, -1 before the first */
} s3d_undecided;

static inline void s3d_defer(s3d_undecided *state, int verdict, uint32_t needs)
{
    if (state->tail != verdict) {
        state->needs |= state->tail_needs;
        state->tail_needs = 0;
        state->tail = verdict;
    }
    state->tail_needs |= needs;
}

/* The decision when nothing before can change it any more: `verdict`, by `clause` (from 1; 0: by default), unless an
 * unknown clause says otherwise. */
static inline uint32_t s3d_settle(const s3d_program *program, const s3d_subject *subject, const s3d_undecided *state,
                                  int verdict, uint32_t clause)
{
    uint32_t needs = state->needs, loadable = 0;
    if (state->tail >= 0 && state->tail != verdict)
        needs |= state->tail_needs;
    if (needs == 0)
        return (verdict ? S3D_INCLUDED : 0) | clause << S3D_CLAUSE_SHIFT;
    for (int group = 0; group < S3D_GROUPS; group++)
        if (subject->states[group] == S3D_NOT_LOADED)
            loadable |= needs & 1u << group;
    if (loadable)
        return loadable << S3D_NEEDS_SHIFT;
    return S3D_BY_SETTING | (program->included_if_unknowable ? S3D_INCLUDED : 0);
}

/* A clause's place in the heap: the clause itself, and where its list goes on. */
typedef struct {
    uint32_t clause, next, end;
} s3d_head;

static inline void s3d_sift_down(s3d_head *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        s3d_head moved;
        if (child >= count)
            return;
        if (child + 1 < count && heap[child + 1].clause > heap[child].clause)
            child++;
        if (heap[at].clause >= heap[child].clause)
            return;
        moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

/* The clauses' decision, without the reserved tags'. */
static inline uint32_t s3d_evaluate(const s3d_program *program, const s3d_subject *subject)
{
    s3d_head heap[S3D_MAX_PREFIX + 1];
    s3d_undecided state = {0, 0, -1};
    const s3d_node *node = program->nodes;
    uint32_t count = 0;
    size_t at = 0;
    for (;;) {
        const uint8_t *found;
        if (node->entry_count)
            heap[count++] = (s3d_head){program->entries[node->entry], node->entry + 1, node->entry + node->entry_count};
        if (node->child_count == 0 || at == subject->path_size)
            break;
        found = (const uint8_t *)memchr(program->first_bytes + node->child, subject->path[at], node->child_count);
        if (found == NULL)
            break;
        node = program->nodes + (found - program->first_bytes);
        if (subject->path_size - at < node->label_size ||
            memcmp(subject->path + at, program->bytes + node->label, node->label_size) != 0)
            break;
        at += node->label_size;
    }
    for (uint32_t i = count / 2; i-- > 0;)
        s3d_sift_down(heap, count, i);
    while (count) {
        uint32_t index = heap[0].clause;
        const s3d_clause *clause = program->clauses + index;
        if (s3d_path_matches(program, clause, subject)) {
            uint32_t needs;
            int holds = s3d_conditions_hold(program, clause, subject, &needs);
            if (holds == S3D_TRUE)
                return s3d_settle(program, subject, &state, !clause->excludes, index + 1);
            if (holds == S3D_UNKNOWN)
                s3d_defer(&state, !clause->excludes, needs);
        }
        if (heap[0].next < heap[0].end)
            heap[0].clause = program->entries[heap[0].next++];
        else
            heap[0] = heap[--count];
        s3d_sift_down(heap, count, 0);
    }
    return s3d_settle(program, subject, &state, program->included_by_default, 0);
}

static inline int s3d_value_is(const s3d_field *tag, const char *value, size_t size)
{
    return tag->value_size == size && memcmp(tag->value, value, size) == 0;
}

/* The decision with the reserved tags, where these are known: a clause is never asked about what a tag has decided, and
 * no lookup is asked for on their account. */
static inline uint32_t s3d_decide(const s3d_program *program, const s3d_subject *subject)
{
    uint32_t flags = 0, decided;
    if (subject->states[S3D_OBJECT_TAGS] == S3D_KNOWN && subject->object_tag_count) {
        const s3d_field *tag;
        if (program->purpose == S3D_QUEUE) {
            tag = s3d_find_tag(subject->object_tags, subject->object_tag_count, (const uint8_t *)"s3d.upload", 10);
            if (tag != NULL && s3d_value_is(tag, "true", 4))
                return S3D_BY_TAG | S3D_INCLUDED;
            if (tag != NULL && s3d_value_is(tag, "false", 5))
                return S3D_BY_TAG;
        } else if (program->purpose == S3D_CACHE) {
            tag = s3d_find_tag(subject->object_tags, subject->object_tag_count, (const uint8_t *)"s3d.cache", 9);
            if (tag != NULL && s3d_value_is(tag, "pin", 3))
                return S3D_BY_TAG | S3D_INCLUDED | S3D_PINNED;
            if (tag != NULL && s3d_value_is(tag, "bypass", 6))
                return S3D_BY_TAG;
            if (tag != NULL && s3d_value_is(tag, "immutable", 9))
                flags = S3D_IMMUTABLE;
        }
    }
    decided = s3d_evaluate(program, subject);
    return decided >> S3D_NEEDS_SHIFT & 7 ? decided : decided | flags;
}

#endif
