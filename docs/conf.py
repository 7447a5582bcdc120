"""The configuration of Sphinx, which builds the site from the Markdown here and from the code."""
# ruff: noqa: INP001 - Sphinx loads a module outside any package.

import sys
from pathlib import Path

import django
from django.conf import settings

import jwtauth

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

# autodoc imports the code, and most of it requires configured settings.
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "jwtauth",
    ],
    JWTAUTH={"ISSUER": "https://my-api.zuplo.app/__zuplo/issuer"},
)
django.setup()

project = "drf-zuplo-jwt"
project_copyright = "the drf-zuplo-jwt contributors"
release = version = jwtauth.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "from_code"]
exclude_patterns = ["_build", "_ext", "performance/tables", "requirements.txt"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False  # Readers type much of what is quoted.

html_theme = "furo"
html_title = f"{project} {release}"
html_favicon = "../project/static/project/icon.svg"  # The icon of the demo.
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_dark_style = "github-dark"  # Furo's default underlines imported modules like links.
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e4f", "color-brand-content": "#0b6e4f"},
    "dark_css_variables": {"color-brand-primary": "#5fd3a6", "color-brand-content": "#5fd3a6"},
}
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"  # Output has no button.

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
