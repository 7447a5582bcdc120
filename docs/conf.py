"""How Sphinx builds the site: from the Markdown here, and from the code itself."""
# ruff: noqa: INP001 - Sphinx wants a module that is part of no package.

import sys
from pathlib import Path

import django
from django.conf import settings

import jwtauth

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

# What is documented is imported, and most of it wants Django to be set up.
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

extensions = ["myst_parser", "sphinx.ext.autodoc", "from_code"]
exclude_patterns = ["_build", "_ext", "performance/tables", "requirements.txt"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
smartquotes = False  # Much of what is quoted is to be typed.

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
