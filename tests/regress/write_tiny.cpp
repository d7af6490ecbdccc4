// write_tiny OUT WORDS [N_TOKENS [SEED]]: the tests' random model (see tests/support/tiny_model.h for the words) as a
// file that other programs can load. Prints N_TOKENS random ids of its vocabulary, separated by commas.
#include <cstdio>
#include <cstdlib>

#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
    using namespace atlas;
    if (argc < 3) {
        std::fputs("usage: write_tiny OUT \"ARCHITECTURE WORDS...\" [N_TOKENS [SEED]]\n", stderr);
        return 2;
    }
    const testing::TinyShape shape = testing::tiny_shape(argv[2]);
    testing::write_tiny_model(argv[1], shape);
    const auto n_tokens = argc > 3 ? static_cast<uint32_t>(std::atoi(argv[3])) : 0u;
    const uint64_t seed = argc > 4 ? static_cast<uint64_t>(std::atoll(argv[4])) : 1u;
    const char* separator = "";
    for (uint32_t token : testing::tiny_tokens(n_tokens, shape.n_vocab, seed)) {
        std::printf("%s%u", separator, token);
        separator = ",";
    }
    if (n_tokens > 0) std::printf("\n");
    return 0;
}
