/* The runtime of a freestanding plugin: memory, text, config, log.
 *
 * The rule: memory rises from __heap_base and falls back at the end of each call, so an allocation is an addition and nothing is freed one by one;
 * what plugin_init took lies below the line that calls fall back to.
 * Left to others: what goes out (out.c). */
#include <pelton/pelton.h>

extern unsigned char __heap_base;

#define PAGE 65536u

static uintptr_t top, line, end;

static void start(void) {
    if (end == 0) {
        top = line = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
        end = __builtin_wasm_memory_size(0) * PAGE;
    }
}

/* Not zeroed. */
static void *take(size_t bytes) {
    start();
    bytes = (bytes + 7) & ~(size_t)7;
    if (bytes > end - top) {
        size_t pages = (bytes - (end - top) + PAGE - 1) / PAGE;
        /* A little more each time, so that growing is rare. */
        size_t wish = pages + end / PAGE / 4;
        if (__builtin_wasm_memory_grow(0, wish) != (size_t)-1) {
            pages = wish;
        } else if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) {
            pelton_trap("out of memory");
        }
        end += pages * PAGE;
    }
    void *at = (void *)top;
    top += bytes;
    return at;
}

void *pelton_alloc(size_t bytes) { return memset(take(bytes), 0, bytes); }

/* The host asks for room with this. The last block grows where it lies. */
PELTON_EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    if (size == 0) return (void *)align;
    if (old_size && (uintptr_t)old + ((old_size + 7) & ~(size_t)7) == top) {
        top = (uintptr_t)old;
        return take(size);
    }
    void *at = take(size);
    return old_size ? memcpy(at, old, old_size < size ? old_size : size) : at;
}

void pelton_release(void) { top = line; }

void *memcpy(void *to, const void *from, size_t bytes) {
    __asm__ volatile("local.get %0\nlocal.get %1\nlocal.get %2\nmemory.copy 0, 0\n" ::"r"(to), "r"(from), "r"(bytes) : "memory");
    return to;
}

void *memset(void *to, int byte, size_t bytes) {
    __asm__ volatile("local.get %0\nlocal.get %1\nlocal.get %2\nmemory.fill 0\n" ::"r"(to), "r"(byte), "r"(bytes) : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) { return memcpy(to, from, bytes); /* memory.copy minds overlaps */ }

int memcmp(const void *a, const void *b, size_t bytes) {
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

pelton_text pelton_concat(pelton_text a, pelton_text b) {
    char *at = take(a.length + b.length);
    memcpy(at, a.at, a.length);
    memcpy(at + a.length, b.at, b.length);
    return (pelton_text){at, a.length + b.length};
}

pelton_text pelton_copy(pelton_text text) { return (pelton_text){memcpy(take(text.length), text.at, text.length), text.length}; }

pelton_text pelton_from_int(int64_t number) {
    char *digits = take(24), *at = digits + 24;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0) *--at = '-';
    return (pelton_text){at, (uint32_t)(digits + 24 - at)};
}

pelton_text pelton_from_number(double number) {
    if (number != number) return pelton_str("NaN");
    double size = number < 0 ? -number : number;
    if (size >= 9e12) return pelton_from_int(size < 9.2e18 ? (int64_t)number : number < 0 ? INT64_MIN : INT64_MAX);
    uint64_t millionths = (uint64_t)(size * 1e6 + 0.5);
    pelton_text whole = pelton_from_int((int64_t)(millionths / 1000000));
    if (number < 0 && millionths) whole = pelton_concat(pelton_str("-"), whole);
    uint64_t part = millionths % 1000000;
    if (part == 0) return whole;
    char *digits = take(8);
    digits[0] = '.';
    uint32_t length = 1;
    for (uint64_t unit = 100000; part; part %= unit, unit /= 10) digits[length++] = (char)('0' + part / unit);
    return pelton_concat(whole, (pelton_text){digits, length});
}

/* ---- Config ---- */

typedef struct {
    const char *at, *end;
} cursor;

static void blank(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r')) c->at++;
}

/* Passes over one value, and says where it lay. The host has checked that it is JSON. */
static pelton_text value(cursor *c) {
    blank(c);
    const char *from = c->at;
    int depth = 0;
    bool quoted = false;
    for (; c->at < c->end; c->at++) {
        char letter = *c->at;
        if (quoted) {
            if (letter == '\\') c->at++;
            else if (letter == '"') quoted = false;
        } else if (letter == '"') {
            quoted = true;
        } else if (letter == '{' || letter == '[') {
            depth++;
        } else if (depth > 0 && (letter == '}' || letter == ']')) {
            depth--;
        } else if (depth == 0 && (letter == ',' || letter == ':' || letter == '}' || letter == ' ' || letter == '\n')) {
            break;
        }
    }
    return (pelton_text){from, (uint32_t)(c->at - from)};
}

static bool member(pelton_text config, const char *name, pelton_text *found) {
    cursor c = {config.at, config.at + config.length};
    blank(&c);
    if (c.at == c.end || *c.at != '{') return false;
    for (c.at++; c.at < c.end; c.at++) {
        pelton_text key = value(&c);
        blank(&c);
        if (c.at == c.end || *c.at != ':') return false;
        c.at++;
        *found = value(&c);
        if (key.length >= 2 && pelton_is((pelton_text){key.at + 1, key.length - 2}, name)) return true;
        blank(&c);
    }
    return false;
}

double pelton_config_number(pelton_text config, const char *name, double otherwise) {
    pelton_text text;
    if (!member(config, name, &text) || text.length == 0) return otherwise;
    const char *at = text.at, *stop = text.at + text.length;
    bool minus = *at == '-';
    double number = 0;
    int shift = 0, power = 0;
    for (at += minus; at < stop && *at >= '0' && *at <= '9'; at++) number = number * 10 + (*at - '0');
    if (at < stop && *at == '.')
        for (at++; at < stop && *at >= '0' && *at <= '9'; at++, shift--) number = number * 10 + (*at - '0');
    if (at < stop && (*at == 'e' || *at == 'E')) {
        bool small = ++at < stop && *at == '-';
        for (at += at < stop && (*at == '-' || *at == '+'); at < stop && *at >= '0' && *at <= '9' && power < 1000; at++) power = power * 10 + (*at - '0');
        shift += small ? -power : power;
    }
    /* One division by an exact power rounds once. */
    double factor = 1;
    for (int i = shift < 0 ? -shift : shift; i > 0; i--) factor *= 10;
    number = shift < 0 ? number / factor : number * factor;
    return minus ? -number : number;
}

bool pelton_config_bool(pelton_text config, const char *name, bool otherwise) {
    pelton_text text;
    return member(config, name, &text) ? pelton_is(text, "true") : otherwise;
}

pelton_text pelton_config_text(pelton_text config, const char *name, const char *otherwise) {
    pelton_text text;
    if (!member(config, name, &text) || text.length < 2 || text.at[0] != '"') return pelton_str(otherwise);
    char *plain = take(text.length);
    uint32_t length = 0;
    for (uint32_t i = 1; i + 1 < text.length; i++) {
        char letter = text.at[i];
        if (letter == '\\') {
            letter = text.at[++i];
            if (letter == 'u') pelton_trap("config: a text has an escape \\u, which this SDK does not read");
            letter = letter == 'n' ? '\n' : letter == 't' ? '\t' : letter;
        }
        plain[length++] = letter;
    }
    return (pelton_text){plain, length};
}

/* ---- Log and metrics ---- */

#define IMPORT(interface, name) __attribute__((import_module("pelton:plugin/" interface "@0.1.0"), import_name(name)))

IMPORT("log", "enabled") uint32_t host_enabled(void);
IMPORT("log", "write") void host_write(uint32_t level, const char *at, uint32_t length, const char *fields, uint32_t fields_length);
IMPORT("metrics", "counter-add") void host_count(const char *at, uint32_t length, uint64_t by);
IMPORT("metrics", "gauge-set") void host_gauge(const char *at, uint32_t length, double value);
IMPORT("metrics", "histogram-record") void host_histogram(const char *at, uint32_t length, const double *values, uint32_t count);

void pelton_log(unsigned level, pelton_text message) {
    if (level >= host_enabled()) host_write(level, message.at, message.length, "", 0);
}
void pelton_count(const char *name, uint64_t by) { host_count(name, strlen(name), by); }
void pelton_gauge(const char *name, double value) { host_gauge(name, strlen(name), value); }
void pelton_histogram(const char *name, const double *values, uint32_t count) { host_histogram(name, strlen(name), values, count); }

_Noreturn void pelton_trap(const char *why) {
    host_write(PELTON_ERROR, why, strlen(why), "", 0);
    __builtin_trap();
}

/* ---- The life of a plugin ---- */

static pelton_manifest declared;

pelton_result *pelton_fail_text(const char *why) {
    pelton_result *result = pelton_alloc(sizeof *result);
    result->tag = 1;
    result->text = pelton_str(why);
    return result;
}

PELTON_EXPORT("pelton:plugin/lifecycle@0.1.0#describe")
pelton_result *pelton_export_describe(const char *at, uint32_t length) {
    pelton_result *result = pelton_alloc(sizeof *result);
    const char *why = plugin_describe(&result->manifest, (pelton_text){at, length});
    return why ? pelton_fail_text(why) : result;
}
PELTON_EXPORT("cabi_post_pelton:plugin/lifecycle@0.1.0#describe")
void pelton_post_describe(void *result) {
    (void)result;
    pelton_release();
}

void pelton_declare(const pelton_manifest *manifest);

PELTON_EXPORT("pelton:plugin/lifecycle@0.1.0#init")
pelton_result *pelton_export_init(const char *config, uint32_t config_length, const char *job, uint32_t job_length, const char *step,
                                  uint32_t step_length, uint64_t generation, pelton_annotation *annotations, uint32_t count) {
    pelton_context context = {{config, config_length}, {job, job_length}, {step, step_length}, generation, {annotations, count}};
    /* Rows are checked against what this config declares. */
    const char *why = plugin_describe(&declared, context.config);
    if (!why) why = plugin_init(&context);
    if (why) return pelton_fail_text(why);
    pelton_declare(&declared);
    return pelton_alloc(sizeof(pelton_result));
}
PELTON_EXPORT("cabi_post_pelton:plugin/lifecycle@0.1.0#init")
void pelton_post_init(void *result) {
    (void)result;
    line = top;
}
