#include "tools/models/catalogue.h"

#include "runtime/base/user_dirs.h"
#include "tools/models/environment.h"

namespace atlas::tools {

Result<Catalogue> user_catalogue() {
    const auto dirs = user_dirs(system_environment);
    return load_catalogue(dirs ? dirs->config / "catalogue.json" : std::filesystem::path());
}

std::string source_of(const CatalogueModel& model, std::string_view quant) {
    if (!model.pull.empty()) return model.pull;
    return model.gguf.empty() ? "" : fmt::format("hf:{}:{}", model.gguf, quant);
}

}  // namespace atlas::tools
