#include "runtime/gguf/intact.h"

#include <optional>

namespace atlas::gguf {

Result<void> check_intact(const File& file, const TensorInfo& tensor) { return file.populate(tensor, 0, 0); }

Result<void> check_intact(const File& file) {
    std::optional<uint32_t> last_part;  // tensors are listed part by part
    for (const TensorInfo& tensor : file.tensors()) {
        if (tensor.part == last_part) continue;
        last_part = tensor.part;
        ATLAS_TRY_VOID(check_intact(file, tensor));
    }
    return {};
}

}  // namespace atlas::gguf
