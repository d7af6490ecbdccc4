#pragma once
// Three models, of which the smaller ones draft for the large one.

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace atlas::testing {

/// large.gguf; small.gguf, which has one layer; narrow.gguf, which knows fewer tokens too.
inline void write_draft_models(const TempDir& folder) {
    TinyShape shape = tiny_shape("llama");
    write_tiny_model(folder / "large.gguf", shape);
    shape.n_layer = 1;
    write_tiny_model(folder / "small.gguf", shape);
    shape.n_vocab = 60;
    write_tiny_model(folder / "narrow.gguf", shape);
}

}  // namespace atlas::testing
