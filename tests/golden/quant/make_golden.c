/* Writes <format>.bin for every format: random blocks, then what libggml's to_float makes of them.  See README.md. */
#include <ggml.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_BLOCKS = 16, SPECIAL_BLOCKS = 10, BLOCKS = RANDOM_BLOCKS + SPECIAL_BLOCKS };

/* splitmix64 */
static uint64_t state;
static uint64_t next_random(void) {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Where a block keeps its half-precision scales (-1: none); a format of one element is such a value itself. */
static const struct {
    const char* name;
    int id;
    int halves[2];
} formats[] = {{"f32", 0, {2, -1}},   {"f16", 1, {0, -1}},     {"q4_0", 2, {0, -1}},    {"q4_1", 3, {0, 2}},
               {"q5_0", 6, {0, -1}},  {"q5_1", 7, {0, 2}},     {"q8_0", 8, {0, -1}},    {"q2_k", 10, {80, 82}},
               {"q3_k", 11, {108, -1}}, {"q4_k", 12, {0, 2}},  {"q5_k", 13, {0, 2}},    {"q6_k", 14, {208, -1}},
               {"iq4_nl", 20, {0, -1}}, {"iq4_xs", 23, {0, -1}}, {"bf16", 30, {0, -1}}, {"mxfp4", 39, {-1, -1}}};

/* zeros, smallest and largest denormal, smallest normal, largest, infinities, NaN */
static const uint16_t special[SPECIAL_BLOCKS] = {0x0000, 0x8000, 0x0001, 0x83FF, 0x0400,
                                                 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00};
static const uint8_t special_exponent[SPECIAL_BLOCKS] = {0, 1, 2, 3, 126, 127, 128, 253, 254, 255};

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; ++f) {
        const struct ggml_type_traits* traits = ggml_get_type_traits((enum ggml_type)formats[f].id);
        const size_t bytes = traits->type_size, elems = (size_t)traits->blck_size;
        uint8_t* blocks = malloc(BLOCKS * bytes);
        float* values = malloc(BLOCKS * elems * sizeof(float));
        state = (uint64_t)formats[f].id;
        for (size_t i = 0; i < BLOCKS * bytes; ++i) blocks[i] = (uint8_t)(next_random() >> 56);
        for (size_t s = 0; s < SPECIAL_BLOCKS; ++s) {
            uint8_t* block = blocks + (RANDOM_BLOCKS + s) * bytes;
            for (int h = 0; h < 2; ++h)
                if (formats[f].halves[h] >= 0) memcpy(block + formats[f].halves[h], &special[s], 2);
            if (formats[f].halves[0] < 0) block[0] = special_exponent[s];
        }
        if (traits->to_float)
            traits->to_float(blocks, values, (int64_t)(BLOCKS * elems));
        else
            memcpy(values, blocks, BLOCKS * bytes);
        char path[512];
        snprintf(path, sizeof path, "%s/%s.bin", argv[1], formats[f].name);
        FILE* out = fopen(path, "wb");
        if (!out) return 1;
        fwrite(blocks, bytes, BLOCKS, out);
        fwrite(values, sizeof(float), BLOCKS * elems, out);
        fclose(out);
        printf("%-7s %s %zu bytes a block, %zu elements\n", formats[f].name, traits->type_name, bytes, elems);
        free(blocks);
        free(values);
    }
    return 0;
}
