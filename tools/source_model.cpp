#include "tools/source_model.h"

#include "runtime/gguf/file_error.h"
#include "runtime/model/file_plan.h"
#include "runtime/text/vocabulary.h"

namespace atlas::tools {

Result<void> check_source(const gguf::File& file) {
    ATLAS_TRY_VOID(check_model_file(file));
    if (auto checked = check_token_ids(file); !checked)
        return gguf::fail_in_file(file.path(), std::move(checked).error());
    return {};
}

std::string why_it_cannot_run(const gguf::File& file) {
    const auto found = resolve_file(file);
    return found ? "" : gguf::fail_in_file(file.path(), found.error()).value().message;
}

}  // namespace atlas::tools
