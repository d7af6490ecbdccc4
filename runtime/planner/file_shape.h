#pragma once
// A GGUF file's header as the planner sees it: its shape and the true sizes of its tensors. Nothing but the header is
// read.

#include "runtime/gguf/reader.h"
#include "runtime/planner/sizes.h"

namespace atlas {

struct FileShape {
    ModelShape shape;
    ModelSize size;
    uint64_t weights_bytes =
        0;              // what the loader puts on the device: of architectures that this build runs, what its plan says
    std::string quant;  // "Q4_K_M" as the file says, or the format of most of its bytes
};

/// Works for every architecture with the usual keys; architectures that this build knows read their own keys. Names
/// from the file are escaped. Fails: not_found, corrupt (a key that is missing or makes no sense), unsupported.
Result<FileShape> shape_of_file(const gguf::File& file);

}  // namespace atlas
