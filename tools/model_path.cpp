#include "tools/model_path.h"

#include "runtime/base/user_dirs.h"
#include "tools/messages.h"
#include "tools/models/environment.h"
#include "tools/models/resolve.h"

namespace atlas::tools {

Result<ModelStore> user_store() {
    ATLAS_TRY(const auto dirs, user_dirs(system_environment));
    return ModelStore(dirs.cache / "models", [](const std::string& text) { print_warning(text); });
}

Result<std::filesystem::path> find_model(const std::string& name) {
    // Without a home folder a path still works.
    auto store = user_store();
    return find_model_in(store ? *store : ModelStore({}), name);
}

}  // namespace atlas::tools
