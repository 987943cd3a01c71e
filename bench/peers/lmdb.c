/* LMDB under the cells of `Kvasir.Benchmarks tree`: the same keys, values, order and transactions, every commit synced.
 * lmdb DIR KEYS READS scattered|sorted BATCHES SINGLES WRITERS EACH; prints a line for each cell: name, operations a second. */
#include <lmdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY = 16, VALUE = 100, LOADED_TOGETHER = 10000, BATCH = 1000, ROUNDS = 3 };

static MDB_env *env;
static MDB_dbi dbi;
static uint64_t count;
static char value[VALUE];

#define CHECK(call) do { int result_ = (call); if (result_) { fprintf(stderr, "%s: %s\n", #call, mdb_strerror(result_)); exit(1); } } while (0)

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

static uint64_t mix(uint64_t z) {
    z += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static uint64_t next(uint64_t *state) { *state ^= *state << 13; *state ^= *state >> 7; *state ^= *state << 17; return *state % count; }

static void write_key(char *key, uint64_t place) {
    uint64_t span = UINT64_MAX / count;
    uint64_t high = __builtin_bswap64(place * span + mix(place) % span), low = __builtin_bswap64(mix(place + 77));
    memcpy(key, &high, 8);
    memcpy(key + 8, &low, 8);
}

static void put(MDB_txn *txn, uint64_t place, unsigned flags) {
    char key[KEY];
    MDB_val k = { KEY, key }, v = { VALUE, value };
    write_key(key, place);
    CHECK(mdb_put(txn, dbi, &k, &v, flags));
}

static void load(int scattered) {
    double begun = now();
    for (uint64_t done = 0; done < count;) {
        MDB_txn *txn;
        CHECK(mdb_txn_begin(env, 0, 0, &txn));
        CHECK(mdb_dbi_open(txn, 0, 0, &dbi));
        for (int i = 0; i < LOADED_TOGETHER && done < count; i++, done++)
            put(txn, scattered ? done * 2654435761ULL % count : done, scattered ? 0 : MDB_APPEND);
        CHECK(mdb_txn_commit(txn));
    }
    printf("load %.3f\n", count / (now() - begun));
}

static long sum;

static void get(MDB_txn *txn, uint64_t place) {
    char key[KEY];
    MDB_val k = { KEY, key }, v;
    write_key(key, place);
    CHECK(mdb_get(txn, dbi, &k, &v));
    sum += *(char *)v.mv_data;
}

static uint64_t reads, drawn = 88172645463325252ULL;

static void gets(void) {
    MDB_txn *txn;
    CHECK(mdb_txn_begin(env, 0, MDB_RDONLY, &txn));
    for (uint64_t i = 0; i < reads; i++)
        get(txn, next(&drawn));
    mdb_txn_abort(txn);
}

/* A transaction for each, renewed, as LMDB's documentation advises. */
static void gets_in_transactions(void) {
    MDB_txn *txn;
    CHECK(mdb_txn_begin(env, 0, MDB_RDONLY, &txn));
    for (uint64_t i = 0; i < reads; i++) {
        mdb_txn_reset(txn);
        CHECK(mdb_txn_renew(txn));
        get(txn, next(&drawn));
    }
    mdb_txn_abort(txn);
}

static void scan(void) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val k, v;
    uint64_t seen = 0;
    CHECK(mdb_txn_begin(env, 0, MDB_RDONLY, &txn));
    CHECK(mdb_cursor_open(txn, dbi, &cursor));
    for (int there = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); there == 0; there = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        seen++;
        sum += *(char *)k.mv_data + *(char *)v.mv_data;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    if (seen != count) { fprintf(stderr, "%lu of %lu keys\n", (unsigned long)seen, (unsigned long)count); exit(1); }
}

static int by_size(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }

static void repeat(const char *name, double operations, void (*run)(void)) {
    double begun = now(), rates[ROUNDS];
    run();
    printf("%s_first %.3f\n", name, operations / (now() - begun));
    for (int i = 0; i < ROUNDS; i++) {
        begun = now();
        run();
        rates[i] = operations / (now() - begun);
    }
    qsort(rates, ROUNDS, sizeof *rates, by_size);
    printf("%s %.3f\n", name, rates[ROUNDS / 2]);
}

static void commit(const char *name, int commits, int puts) {
    static uint64_t state = 4711;
    double begun = now();
    for (int i = 0; i < commits; i++) {
        MDB_txn *txn;
        CHECK(mdb_txn_begin(env, 0, 0, &txn));
        for (int j = 0; j < puts; j++)
            put(txn, next(&state), 0);
        CHECK(mdb_txn_commit(txn));
    }
    printf("%s %.3f\n", name, (double)commits * puts / (now() - begun));
}

static int each, gathered, near;

static void *writer(void *id) {
    uint64_t state = 1000 + (uint64_t)id;
    for (int i = 0; i < each; i++) {
        MDB_txn *txn;
        CHECK(mdb_txn_begin(env, 0, 0, &txn));
        put(txn, near ? ((uint64_t)i * gathered + (uint64_t)id) % count : next(&state), 0);
        CHECK(mdb_txn_commit(txn));
    }
    return 0;
}

static void group(const char *name, int writers) {
    pthread_t threads[writers];
    gathered = writers;
    double begun = now();
    for (long i = 0; i < writers; i++)
        if (pthread_create(&threads[i], 0, writer, (void *)i)) exit(1);
    for (int i = 0; i < writers; i++)
        pthread_join(threads[i], 0);
    printf("%s %.3f\n", name, (double)writers * each / (now() - begun));
}

int main(int argc, char **argv) {
    if (argc != 9) return 2;
    count = strtoull(argv[2], 0, 10);
    reads = strtoull(argv[3], 0, 10);
    each = atoi(argv[8]);
    memset(value, 'v', VALUE);
    setvbuf(stdout, 0, _IOLBF, 0);
    CHECK(mdb_env_create(&env));
    CHECK(mdb_env_set_mapsize(env, 64UL << 30));
    CHECK(mdb_env_open(env, argv[1], 0, 0644));
    load(!strcmp(argv[4], "scattered"));
    repeat("get", reads, gets);
    repeat("get_txn", reads, gets_in_transactions);
    repeat("scan", count, scan);
    commit("batch1000", atoi(argv[5]), BATCH);
    commit("single", atoi(argv[6]), 1);
    group("group", atoi(argv[7]));
    near = 1;
    group("group_near", atoi(argv[7]));
    MDB_envinfo info;
    MDB_txn *txn;
    MDB_stat stat;
    CHECK(mdb_env_info(env, &info));
    CHECK(mdb_txn_begin(env, 0, MDB_RDONLY, &txn));
    CHECK(mdb_stat(txn, dbi, &stat));
    mdb_txn_abort(txn);
    printf("file_mib %.3f\ndepth %u\n", (info.me_last_pgno + 1.0) * stat.ms_psize / 1048576, stat.ms_depth);
    mdb_env_close(env);
    return sum == 42;
}
