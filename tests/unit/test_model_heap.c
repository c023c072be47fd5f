/* Places in blocks: against a plain picture of the same memory, and the promise that places do not
 * depend on whether the blocks were there before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem.h"
#include "model/heap.h"

enum { BLOCK = 1000, PIECES = 60, ROUNDS = 4000 };

typedef struct piece {
    heap_place at;
    size_t bytes; /* 0 = not taken */
} piece;

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* The first place of a picture with that much room, or false. */
static bool first_room(const uint8_t *map, int blocks, size_t bytes, heap_place *out)
{
    for (int b = 0; b < blocks; b++) {
        for (size_t at = 0, run = 0; at < BLOCK; at++) {
            run = map[(size_t)b * BLOCK + at] ? 0 : run + 1;
            if (run == bytes) {
                *out = (heap_place){b, at + 1 - bytes};
                return true;
            }
        }
    }
    return false;
}

static void a_piece_lies_in_the_first_room_there_is(void **state)
{
    (void)state;
    static uint8_t map[HEAP_BLOCKS * BLOCK];
    heap h = {0};
    piece p[PIECES] = {0};
    uint32_t seed = 7;
    size_t used = 0, top = 0;
    memset(map, 0, sizeof map);
    for (int i = 0; i < ROUNDS; i++) {
        piece *k = &p[draw(&seed) % PIECES];
        if (k->bytes) {
            heap_give(&h, k->at, k->bytes);
            memset(map + (size_t)k->at.block * BLOCK + k->at.at, 0, k->bytes);
            used -= k->bytes;
            k->bytes = 0;
        } else {
            size_t bytes = 1 + draw(&seed) % 200;
            heap_place want, got;
            if (!first_room(map, h.blocks, bytes, &want)) {
                assert_false(heap_take(&h, bytes, &got));
                heap_add(&h, BLOCK);
                want = (heap_place){h.blocks - 1, 0};
            }
            assert_true(heap_take(&h, bytes, &got));
            assert_int_equal(got.block, want.block);
            assert_int_equal(got.at, want.at);
            memset(map + (size_t)got.block * BLOCK + got.at, 1, bytes);
            *k = (piece){got, bytes};
            used += bytes;
            size_t end = (size_t)got.block * BLOCK + got.at + bytes;
            top = end > top ? end : top;
        }
        assert_int_equal(h.used, used);
        assert_int_equal(h.top, top);
    }
    assert_true(h.blocks > 2);
    for (int i = 0; i < PIECES; i++)
        if (p[i].bytes)
            heap_give(&h, p[i].at, p[i].bytes);
    assert_int_equal(h.holes, h.blocks); /* all of them grew together again */
    heap_release(&h);
}

static void a_second_round_lies_as_the_first(void **state)
{
    (void)state;
    heap h = {0};
    heap_place at[2][200];
    for (int round = 0; round < 2; round++) {
        uint32_t seed = 3;
        size_t bytes[200];
        heap_clear(&h);
        for (int i = 0; i < 200; i++) {
            bytes[i] = 1 + draw(&seed) % 300;
            if (!heap_take(&h, bytes[i], &at[round][i])) {
                assert_int_equal(round, 0);
                heap_add(&h, BLOCK);
                assert_true(heap_take(&h, bytes[i], &at[round][i]));
            }
            if (i % 3 == 2)
                heap_give(&h, at[round][i - 1], bytes[i - 1]);
        }
    }
    assert_memory_equal(at[0], at[1], sizeof at[0]);
    heap_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_lies_in_the_first_room_there_is),
        cmocka_unit_test(a_second_round_lies_as_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
