/* Counts the records of each key, and keeps 1,000 bytes with the count. RELEASE 2 keeps them in another order.
 *
 * The rule: each release reads what the other wrote, so that two may take turns. */
#include <pelton/stateful.h>

enum { N };
enum { TABLE };

#define PAD 1000

#if RELEASE == 1
typedef struct { int64_t count; unsigned char pad[PAD]; } kept;
typedef struct { unsigned char pad[PAD]; int64_t count; } other;
#else
typedef struct { unsigned char pad[PAD]; int64_t count; } kept;
typedef struct { int64_t count; unsigned char pad[PAD]; } other;
#endif

static const pelton_text no_sub_key = {"", 0};

const char *plugin_describe(pelton_manifest *m, pelton_text config) {
    (void)config;
    pelton_name(m, "kept", "0.1.0", "counts the records of each key");
    pelton_input(m, "events", 0);
    pelton_field(m, "n", PELTON_INT64);
    pelton_key(m);
    pelton_field(m, "id", PELTON_TEXT);
    pelton_output(m, "out", 0);
    pelton_field(m, "id", PELTON_TEXT);
    pelton_field(m, "n", PELTON_INT64);
    pelton_field(m, "count", PELTON_INT64);
    pelton_table_info *table = pelton_table(m, "kept", RELEASE);
    uint32_t *from = pelton_alloc(sizeof *from);
    *from = 3 - RELEASE;
    table->migrates_from = (pelton_u32s){from, 1};
    return NULL;
}

const char *plugin_init(const pelton_context *context) {
    (void)context;
    return NULL;
}

bool plugin_migrate(const pelton_stored *old, pelton_builder *values, pelton_out *out) {
    (void)out;
    other was;
    kept now;
    memcpy(&was, old->value.at, sizeof was);
    now.count = was.count;
    memcpy(now.pad, was.pad, PAD);
    pelton_add(values, (pelton_text){(const char *)&now, sizeof now});
    return true;
}

/* What does not compress, the same for the same key. */
static void fill(unsigned char *pad, pelton_text id) {
    uint64_t bits = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < id.length; i++) bits = (bits ^ (unsigned char)id.at[i]) * 0x100000001b3u;
    for (int i = 0; i < PAD; i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        pad[i] = (unsigned char)(bits >> 32);
    }
}

void plugin_process(const pelton_batch *in, pelton_out *out) {
    PELTON_EACH(row, in) {
        uint32_t key = in->key_index.at[row];
        pelton_text id = pelton_key_text(&in->keys, key, 0);
        kept now;
        pelton_value value = pelton_get(TABLE, key, no_sub_key);
        if (value.is_there) {
            if (value.bytes.length != sizeof now) pelton_trap("what is kept has another length");
            memcpy(&now, value.bytes.at, sizeof now);
        } else {
            now.count = 0;
            fill(now.pad, id);
        }
        now.count++;
        pelton_put(TABLE, key, no_sub_key, (pelton_text){(const char *)&now, sizeof now});
        pelton_emit(out, 0, row);
        pelton_put_text(out, id);
        pelton_put_int64(out, pelton_int64(in, N, row));
        pelton_put_int64(out, now.count);
    }
}

void plugin_fire(const pelton_due *due, pelton_out *out) { (void)due, (void)out; }
