/* Prints the relative error that libggml's own quantizers reach on the rows that tests/quant/quantize_test.cpp makes.  See README.md. */
#include <ggml.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 64, COLUMNS = 1024 };

/* splitmix64 */
static uint64_t state;
static uint64_t next_random(void) {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static double uniform(void) { return ((double)(next_random() >> 11) + 0.5) * 0x1p-53; }
/* Box-Muller, the cosine half */
static double gaussian(void) {
    const double radius = sqrt(-2.0 * log(uniform()));
    return radius * cos(6.283185307179586 * uniform());
}

int main(void) {
    static const int ids[] = {2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 39};
    static float x[ROWS * COLUMNS], y[ROWS * COLUMNS], weight[COLUMNS];
    static uint8_t bytes[ROWS * COLUMNS * 4];
    state = 42;
    for (size_t i = 0; i < ROWS * COLUMNS; ++i) x[i] = (float)(0.02 * gaussian());
    for (size_t i = 0; i < COLUMNS; ++i) weight[i] = (float)exp(gaussian());
    printf("format   plain      by importance\n");
    for (size_t f = 0; f < sizeof ids / sizeof *ids; ++f) {
        const enum ggml_type type = (enum ggml_type)ids[f];
        printf("%-7s", ggml_type_name(type));
        for (int weighted = 0; weighted < 2; ++weighted) {
            ggml_quantize_chunk(type, x, bytes, 0, ROWS, COLUMNS, weighted ? weight : NULL);
            ggml_get_type_traits(type)->to_float(bytes, y, ROWS * COLUMNS);
            double error = 0, norm = 0;
            for (size_t i = 0; i < ROWS * COLUMNS; ++i) {
                const double w = weighted ? weight[i % COLUMNS] : 1.0;
                error += w * (x[i] - y[i]) * (x[i] - y[i]);
                norm += w * x[i] * x[i];
            }
            printf("  %.7f", sqrt(error / norm));
        }
        printf("\n");
    }
    return 0;
}
