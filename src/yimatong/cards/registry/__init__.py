"""The registry of physical cards (居民健康卡注册管理系统), and one call for plastic and electronic cards."""
