"""Stay a template that nobody rendered."""


class {{ project_name }}Settings:
    name = "{{ project_slug }}"
